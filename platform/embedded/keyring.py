"""The installation's own secrets: made once, readable by its user only, never in the code."""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa


class Keyring:
    """Secrets under `<data directory>/keys`, each made when first asked for."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)

    def text(self, name: str, length_bytes: int = 32) -> str:
        """Return a random text of hexadecimal digits that stays the same from run to run."""
        return self._once(name, lambda: secrets.token_hex(length_bytes).encode()).decode()

    def key_encryption_key(self) -> Path:
        """Return the file that holds 32 random bytes in base64."""
        name = "key-encryption.key"
        self._once(name, lambda: base64.b64encode(secrets.token_bytes(32)))
        return self._directory / name

    def oidc_key(self) -> Path:
        """Return the PEM file of the RSA key that signs OpenID Connect tokens."""
        self._once("oidc.pem", _rsa_pem)
        return self._directory / "oidc.pem"

    def environment(self) -> dict[str, str]:
        """Return the settings that hold or point to these secrets."""
        self.oidc_key()
        return {
            "UPEND_SECRET_KEY": self.text("secret-key"),
            "UPEND_KEY_FILE": str(self.key_encryption_key()),
        }

    def _once(self, name: str, make: Callable[[], bytes]) -> bytes:
        path = self._directory / name
        if not path.exists():
            partial = path.with_suffix(f".{os.getpid()}.partial")
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(make())
            partial.replace(path)  # whole or not at all: half a key would lock the data away
        return path.read_bytes()


def _rsa_pem() -> bytes:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
