"""Seals what passes through the broker: who reads or writes there can neither read nor make it."""

from __future__ import annotations

import hashlib
import os
from functools import cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

NONCE_BYTES = 12


def seal(kind: str, name: str, content: bytes) -> bytes:
    """Return `content` sealed under its `name`, with the key of its `kind`."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + _cipher(settings.SECRET_KEY, kind).encrypt(nonce, content, name.encode())


def opened(kind: str, name: str, sealed: bytes) -> bytes | None:
    """Return what was sealed so; None for what was not, or by another installation."""
    nonce, rest = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
    try:
        return _cipher(settings.SECRET_KEY, kind).decrypt(nonce, rest, name.encode())
    except (InvalidTag, ValueError):  # of another key, or too short for a nonce
        return None


@cache
def _cipher(secret: str, kind: str) -> AESGCM:
    return AESGCM(hashlib.sha256(f"{kind}\0{secret}".encode()).digest())
