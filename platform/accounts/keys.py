"""Signatures of organizations: made with keys that are sealed at rest, verified by anyone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from joserfc import jws
from joserfc.errors import UnsupportedAlgorithmError
from joserfc.jwk import OKPKey

from accounts.models import Organization, SigningKey
from accounts.sealing import Binding, KeyUnavailable, seal, unseal
from accounts.sealing.local import ensure_key_file

if TYPE_CHECKING:  # joserfc exports the registry's class but not its return type
    from joserfc._rfc7515.model import JWSAlgModel

__all__ = [
    "ALGORITHM",
    "REGISTRY",
    "Binding",
    "Ed25519Registry",
    "KeyUnavailable",
    "binding_of",
    "ensure_key_file",
    "generate",
    "published",
    "seal",
    "sign",
    "unseal",
]

ALGORITHM = "EdDSA"


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
