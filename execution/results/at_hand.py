"""Small results, kept a moment in the broker's memory for who waits for them.

The object in the bucket is the result, and it is whole before its query has succeeded. What is
here is the same bytes, so that whoever is told of the end has the rows in the same answer. It may
be gone at any time, and is sealed: who reads the broker reads no rows.
"""

from __future__ import annotations

import hashlib
import os
from functools import cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

from api.broker import broker

MOST_BYTES = 128 * 2**10
"""What is larger is fetched from the bucket: it takes longer than the way there."""
SECONDS = 20
"""Who waited has it by then."""
PREFIX = "upend:results:"
NONCE_BYTES = 12


def keep(name: str, rows: bytes) -> None:
    """Keep the Arrow file of a run under its `name`; nothing where it is large."""
    if len(rows) > MOST_BYTES:
        return
    nonce = os.urandom(NONCE_BYTES)
    sealed = nonce + _cipher(settings.SECRET_KEY).encrypt(nonce, rows, name.encode())
    broker().attempt(lambda client: client.set(PREFIX + name, sealed, ex=SECONDS))


def take(name: str) -> bytes | None:
    """Return what is kept under `name`, None where nothing is."""
    found = broker().attempt(lambda client: client.get(PREFIX + name))
    if not isinstance(found, bytes):
        return None
    nonce, sealed = found[:NONCE_BYTES], found[NONCE_BYTES:]
    try:
        return _cipher(settings.SECRET_KEY).decrypt(nonce, sealed, name.encode())
    except InvalidTag:  # of another installation, or of an earlier key
        return None


@cache
def _cipher(secret: str) -> AESGCM:
    return AESGCM(hashlib.sha256(b"results at hand\0" + secret.encode()).digest())
