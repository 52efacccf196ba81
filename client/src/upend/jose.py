"""The one signature this package speaks: compact JWS with Ed25519, and nothing negotiable.

RFC 7515 with the algorithm of RFC 8037 (`EdDSA`), also spelled `Ed25519` since RFC 9864. A
general JOSE library would bring every other algorithm, and with them the confusions they allow.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ALGORITHMS = frozenset({"EdDSA", "Ed25519"})
Jwk = dict[str, Any]


class Malformed(ValueError):
    """The text is not a compact JWS, or a key is not an Ed25519 JWK."""


def encode(data: bytes) -> str:
    """Return base64url without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """Return the bytes of strict base64url without padding; raise `Malformed`."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise Malformed("not base64url") from error
    if encode(data) != text:
        raise Malformed("not canonical base64url")
    return data


def sign(header: dict[str, Any], payload: bytes, key: Ed25519PrivateKey) -> str:
    """Return the compact JWS of `payload`; the header gets `alg`."""
    protected = encode(json.dumps({"alg": "EdDSA"} | header, separators=(",", ":")).encode())
    signing_input = f"{protected}.{encode(payload)}"
    return f"{signing_input}.{encode(key.sign(signing_input.encode()))}"


def header_of(token: str) -> dict[str, Any]:
    """Return the protected header, unverified: good for choosing a key and refusing, no more."""
    protected, dot, rest = token.partition(".")
    if not dot or rest.count(".") != 1:
        raise Malformed("a compact JWS has three parts")
    try:
        header = json.loads(decode(protected))
    except ValueError as error:
        raise Malformed("the header is not JSON") from error
    if not isinstance(header, dict):
        raise Malformed("the header is not a JSON object")
    return header


def verified_payload(token: str, key: Jwk) -> bytes | None:
    """Return the payload if `key` signed `token`, None if it did not.

    The caller has checked the header's `alg`; whatever it says, only Ed25519 is tried here.
    """
    signing_input, _, signature = token.rpartition(".")
    try:
        public_key(key).verify(decode(signature), signing_input.encode())
    except InvalidSignature:
        return None
    return decode(signing_input.partition(".")[2])


def public_key(key: Jwk) -> Ed25519PublicKey:
    """Return the Ed25519 public key of an OKP JWK (RFC 8037 section 2)."""
    if key.get("kty") != "OKP" or key.get("crv") != "Ed25519":
        raise Malformed("not an Ed25519 key")
    try:
        return Ed25519PublicKey.from_public_bytes(decode(str(key.get("x", ""))))
    except ValueError as error:
        raise Malformed("not an Ed25519 key") from error


def public_jwk(key: Ed25519PublicKey) -> Jwk:
    """Return the JWK with public members only."""
    return {"kty": "OKP", "crv": "Ed25519", "x": encode(key.public_bytes_raw())}


def thumbprint(key: Jwk) -> str:
    """Return the SHA-256 JWK thumbprint, base64url (RFC 7638, members of RFC 8037 section 2)."""
    members = {name: key[name] for name in ("crv", "kty", "x")}
    canonical = json.dumps(members, separators=(",", ":"), sort_keys=True)
    return encode(hashlib.sha256(canonical.encode()).digest())
