"""Where objects are kept and the keys that reach them, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from catalog.domain import AddressingStyle, Encryption


@dataclass(frozen=True, slots=True)
class Location:
    """One bucket of one S3-compatible service.

    `endpoint` and `public_endpoint` are URLs without a path; the second is the one that clients
    reach, where it differs. New objects are written with `encryption`.
    """

    endpoint: str
    region: str
    bucket: str
    public_endpoint: str
    style: AddressingStyle = AddressingStyle.PATH
    encryption: Encryption = Encryption.DEFAULT
    kms_key_id: str = ""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Keys of an S3-compatible service. Nothing that prints one shows its secrets.

    `session_token` and `expires_at` belong to keys that a security token service lent.
    """

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)
    expires_at: datetime | None = None
