"""Key-encryption keys in the transit engine of HashiCorp Vault or OpenBao, which never leave it.

Source: https://developer.hashicorp.com/vault/api-docs/secret/transit and the same of OpenBao. The
place of a secret is the associated data, which needs a key of an AEAD cipher (aes256-gcm96).
"""

from __future__ import annotations

import base64
import os
import re
from functools import lru_cache
from typing import Any

import httpx
from django.conf import settings

from accounts.sealing.domain import Binding, KeyUnavailable, Wrapped

SCHEME = "vault"
TIMEOUT_SECONDS = 5.0
CIPHERTEXT = re.compile(r"vault:v([0-9]+):([A-Za-z0-9+/=]+)")
NAME = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)+")
HINT = (
    "Is Vault unsealed, and may the token of UPEND_VAULT_TOKEN_FILE update transit/encrypt/… "
    "and transit/decrypt/… of the key?"
)


class Vault:
    """The keys of `UPEND_VAULT_KEYS`, as mount/name; the first wraps, by its newest version."""

    def current(self) -> str:
        """Return the id of the key and version that wrap now; Vault tells when it encrypts."""
        return _wrapped(_configured()[0], b"which", b"").key_id

    def wrap(self, data_key: bytes, binding: Binding) -> Wrapped:
        """Let Vault encrypt a data key."""
        return _wrapped(_configured()[0], data_key, binding.as_bytes())

    def unwrap(self, wrapped: Wrapped, binding: Binding) -> bytes:
        """Let Vault decrypt a data key, with a key that is configured and no other."""
        key, _, version = wrapped.key_id.removeprefix(f"{SCHEME}:").rpartition(":v")
        if key not in _configured():
            message = f"The secret is wrapped by {wrapped.key_id}, which is not configured."
            raise KeyUnavailable(message, hint="Add the key to UPEND_VAULT_KEYS.")
        mount, _, name = key.rpartition("/")
        content = base64.b64encode(wrapped.content).decode()
        said = _asked(
            f"{mount}/decrypt/{name}",
            ciphertext=f"vault:v{version}:{content}",
            associated_data=base64.b64encode(binding.as_bytes()).decode(),
        )
        return base64.b64decode(str(said["plaintext"]))


def _wrapped(key: str, data_key: bytes, place: bytes) -> Wrapped:
    mount, _, name = key.rpartition("/")
    said = _asked(
        f"{mount}/encrypt/{name}",
        plaintext=base64.b64encode(data_key).decode(),
        associated_data=base64.b64encode(place).decode(),
    )
    found = CIPHERTEXT.fullmatch(str(said["ciphertext"]))
    if found is None:
        message = f"Vault answered for {key} what is no ciphertext of transit."
        raise KeyUnavailable(message, hint=HINT)
    return Wrapped(f"{SCHEME}:{key}:v{found[1]}", base64.b64decode(found[2]))


def _asked(path: str, **body: str) -> dict[str, Any]:
    """Return the data of Vault's answer. Raises `KeyUnavailable`, which repeats no secret."""
    try:
        # Read each time: an agent beside Upend renews the token in place.
        token = settings.VAULT_TOKEN_FILE.read_text(encoding="ascii").strip()
        answer = _client(settings.VAULT_URL, os.getpid()).post(
            f"/v1/{path}",
            json=body,
            headers={"X-Vault-Token": token, "X-Vault-Request": "true"},
        )
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        message = f"Vault could not be asked for {path}: {type(error).__name__}."
        raise KeyUnavailable(message, hint=HINT) from error
    if answer.status_code != httpx.codes.OK:
        message = f"Vault answered {answer.status_code} for {path}."
        raise KeyUnavailable(message, hint=HINT)
    data: dict[str, Any] = answer.json()["data"]
    return data


@lru_cache(maxsize=4)
def _client(url: str, _: int) -> httpx.Client:
    """Return the client, one per process: a fork must not share sockets."""
    return httpx.Client(base_url=url, timeout=TIMEOUT_SECONDS)


def _configured() -> list[str]:
    keys: list[str] = settings.VAULT_KEYS
    if not keys or not all(NAME.fullmatch(key) for key in keys):
        message = "UPEND_VAULT_KEYS does not name keys."
        raise KeyUnavailable(message, hint="Give mount and name, such as transit/upend.")
    return keys
