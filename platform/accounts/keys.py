"""Keys at rest and signatures: secrets are sealed under one key that the database never sees."""

from __future__ import annotations

import base64
import json
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from joserfc import jws
from joserfc.errors import UnsupportedAlgorithmError
from joserfc.jwk import OKPKey

from accounts.models import Organization, SigningKey
from problems import Problem

if TYPE_CHECKING:  # joserfc exports the registry's class but not its return type
    from joserfc._rfc7515.model import JWSAlgModel

KEY_BYTES = 32
NONCE_BYTES = 12
VERSION = b"\x01"
ALGORITHM = "EdDSA"


class KeyUnavailable(Problem):
    """The key-encryption key is missing or is not the one that sealed this secret."""

    code: ClassVar[str] = "key-unavailable"
    status: ClassVar[int] = 503
    title: ClassVar[str] = "A sealed secret cannot be opened"


class Ed25519Registry(jws.JWSRegistry):
    """JWS with Ed25519 under its RFC 8037 name `EdDSA` and nothing else.

    joserfc warns of that name, since it admits Ed448 too; every key here is of the curve Ed25519.
    """

    def get_alg(self, name: str) -> JWSAlgModel:
        """Return the algorithm. Raises `UnsupportedAlgorithmError` for any other name."""
        if name != ALGORITHM:
            message = f"only {ALGORITHM} is accepted, not {name}"
            raise UnsupportedAlgorithmError(message)
        return self.algorithms[name]


REGISTRY = Ed25519Registry(algorithms=[ALGORITHM])


@dataclass(frozen=True, slots=True)
class Binding:
    """Where a sealed secret belongs; it opens nowhere else, so rows cannot be swapped."""

    organization_id: UUID
    model: str
    row_id: UUID
    field: str

    def as_bytes(self) -> bytes:
        """Return the associated data, unambiguous for any content."""
        parts = [str(self.organization_id), self.model, str(self.row_id), self.field]
        return json.dumps(parts, separators=(",", ":")).encode()


def ensure_key_file(path: Path) -> None:
    """Create the key-encryption key where there is none, readable by its owner only."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(base64.b64encode(os.urandom(KEY_BYTES)) + b"\n")


@lru_cache(maxsize=4)
def _cipher(path: Path) -> AESGCM:
    try:
        key = base64.b64decode(path.read_bytes(), validate=False)
    except OSError as error:
        message = f"The key-encryption key is not at {path}."
        raise KeyUnavailable(
            message, hint="Restore it from its backup (UPEND_KEY_FILE)."
        ) from error
    if len(key) != KEY_BYTES:
        message = f"The file {path} does not hold {KEY_BYTES} bytes in base64."
        raise KeyUnavailable(message, hint="Restore it from its backup (UPEND_KEY_FILE).")
    return AESGCM(key)


def seal(secret: bytes, binding: Binding) -> bytes:
    """Encrypt `secret` with AES-256-GCM (NIST SP 800-38D), bound to its place."""
    nonce = os.urandom(NONCE_BYTES)
    sealed = _cipher(settings.KEY_FILE).encrypt(nonce, secret, VERSION + binding.as_bytes())
    return VERSION + nonce + sealed


def unseal(sealed: bytes, binding: Binding) -> bytes:
    """Return the secret that `seal` bound to this place. Raises `KeyUnavailable` otherwise."""
    version, nonce, body = sealed[:1], sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
    try:
        return _cipher(settings.KEY_FILE).decrypt(nonce, body, version + binding.as_bytes())
    except InvalidTag as error:
        message = "The secret was sealed with another key, for another place, or was changed."
        hint = "Check that UPEND_KEY_FILE is the key this database was written with."
        raise KeyUnavailable(message, hint=hint) from error


def generate() -> tuple[bytes, dict[str, Any], str]:
    """Return a new Ed25519 key: private JWK as bytes, public JWK, and its key id (RFC 7638)."""
    key = OKPKey.generate_key("Ed25519", private=True)
    key_id = key.thumbprint()
    private = json.dumps(key.as_dict(private=True)).encode()
    public = {**key.as_dict(private=False), "kid": key_id, "use": "sig", "alg": ALGORITHM}
    return private, public, key_id


def binding_of(row: SigningKey) -> Binding:
    """Return where a signing key's private half belongs."""
    return Binding(row.organization_id, "accounts.SigningKey", row.id, "sealed_private_key")


def sign(organization: Organization, claims: dict[str, Any], typ: str) -> str:
    """Return `claims` as a compact JWS (RFC 7515) by the organization's newest key.

    `typ` says what is signed, so that one kind of document cannot pass for another. Verify it
    with `/.well-known/upend-keys.json`.
    """
    row = (
        SigningKey.objects.filter(organization=organization, retired_at__isnull=True)
        .order_by("-created_at")
        .first()
    )
    if row is None:
        message = f"{organization} has no live signing key."
        raise KeyUnavailable(message, hint="An administrator creates one.")
    private = unseal(bytes(row.sealed_private_key), binding_of(row))
    header = {"alg": ALGORITHM, "typ": typ, "kid": row.key_id}
    payload = json.dumps(claims, separators=(",", ":"), sort_keys=True)
    key = OKPKey.import_key(json.loads(private))
    return jws.serialize_compact(header, payload, key, registry=REGISTRY)


def published() -> dict[str, list[dict[str, Any]]]:
    """Return the public halves of all live keys as a JWK set (RFC 7517 §5)."""
    rows = SigningKey.objects.filter(retired_at__isnull=True).order_by("created_at")
    return {"keys": [row.public_jwk for row in rows]}
