"""The identity of this machine: an Ed25519 key whose private half never leaves it."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from upend import jose
from upend.errors import UsageError
from upend.files import read_private, write_private


class DeviceKey:
    """The key pair that proves which device is speaking."""

    def __init__(self, private_key: Ed25519PrivateKey) -> None:
        self._private_key = private_key
        self.public_jwk = jose.public_jwk(private_key.public_key())
        self.thumbprint = jose.thumbprint(self.public_jwk)

    @classmethod
    def generate(cls, path: Path) -> DeviceKey:
        """Make a key pair and keep its private half in `path`, readable by its owner only."""
        private_key = Ed25519PrivateKey.generate()
        key = cls(private_key)
        secret = jose.encode(private_key.private_bytes_raw())
        write_private(path, key.public_jwk | {"d": secret})
        return key

    @classmethod
    def load(cls, path: Path) -> DeviceKey | None:
        """Return the key kept in `path`, None if there is none."""
        jwk = read_private(path)
        if jwk is None:
            return None
        try:
            private_key = Ed25519PrivateKey.from_private_bytes(jose.decode(str(jwk.get("d", ""))))
        except ValueError as error:
            raise UsageError(
                f"{path} is damaged: it does not hold an Ed25519 key.",
                code="file-damaged",
                hint=f"Delete {path} and run `upend login` to enrol this machine again.",
            ) from error
        return cls(private_key)

    def proof(self, method: str, url: str, access_token: str = "") -> str:
        """Return a DPoP proof for one request (RFC 9449 section 4.2).

        Every attempt needs its own: the server remembers `jti` and refuses a second use.
        """
        claims: dict[str, Any] = {
            "jti": secrets.token_urlsafe(18),
            "htm": method.upper(),
            "htu": url.partition("?")[0].partition("#")[0],
            "iat": int(time.time()),
        }
        if access_token:
            digest = hashlib.sha256(access_token.encode()).digest()
            claims["ath"] = jose.encode(digest)
        header = {"typ": "dpop+jwt", "jwk": self.public_jwk}
        return jose.sign(header, json.dumps(claims).encode(), self._private_key)

    def sign_receipt(self, claims: dict[str, Any]) -> str:
        """Return `claims` as a JWS that only this device could have made."""
        header = {"typ": "upend-receipt+jwt", "kid": self.thumbprint}
        return jose.sign(header, json.dumps(claims).encode(), self._private_key)
