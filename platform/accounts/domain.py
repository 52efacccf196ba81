"""Who acts, as plain values: passed explicitly to every service, never read from a global."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class PrincipalKind(StrEnum):
    """The kinds of principal that may act."""

    SERVICE_ACCOUNT = "service_account"
    SYSTEM = "system"
    USER = "user"


class OrganizationRole(StrEnum):
    """What a person is to the whole organization."""

    ADMIN = "admin"
    AUDITOR = "auditor"
    MEMBER = "member"


class DeviceStatus(StrEnum):
    """Where an enrolled device stands."""

    APPROVED = "approved"
    PENDING = "pending"
    REVOKED = "revoked"


class Scope(StrEnum):
    """What a token may be used for, at most; roles and policies narrow it further."""

    ADMIN = "admin"
    AUDIT_READ = "audit:read"
    CATALOG_READ = "catalog:read"
    CATALOG_WRITE = "catalog:write"
    DEVICE_ENROLL = "device:enroll"
    QUERY_RUN = "query:run"


@dataclass(frozen=True, slots=True)
class TokenIdentity:
    """The bearer token a request came with, and what it narrows its principal to."""

    id: UUID
    scopes: frozenset[str]


@dataclass(frozen=True, slots=True)
class DeviceIdentity:
    """The device that proved its key on this request (DPoP, RFC 9449)."""

    id: UUID
    name: str
    thumbprint: str
    status: DeviceStatus
    memory_bytes: int | None = None
    cores: int | None = None
    link_bytes_per_second: int | None = None
    cached_bytes: dict[str, int] = field(default_factory=dict)
    """What the device last said its cache holds, by the key of the table. Believed, not proven."""
    os: str = ""
    """`linux`, `macos`, `windows`, or empty: as its client said when it logged in."""
    is_managed: bool = False
    is_disk_encrypted: bool = False
    """Stated by an administrator, or by whatever manages devices in their name; never by it."""
    last_seen_at: datetime | None = None

    @property
    def is_approved(self) -> bool:
        """Tell whether an administrator, or policy, approved this device."""
        return self.status is DeviceStatus.APPROVED


@dataclass(frozen=True, slots=True)
class Actor:
    """The principal behind one request, with everything a decision may look at.

    `scopes` is None for a browser session (all that the person may do); a token narrows it to
    the values of `Scope` it holds, and an empty set allows nothing.
    """

    kind: PrincipalKind
    id: UUID
    label: str
    organization_id: UUID | None
    organization_role: OrganizationRole = OrganizationRole.MEMBER
    group_ids: frozenset[UUID] = frozenset()
    device: DeviceIdentity | None = None
    token_id: UUID | None = None
    scopes: frozenset[str] | None = None
    mfa: bool = False
    request_id: str = ""
    address: str = ""
    attributes: dict[str, str] = field(default_factory=dict)

    @property
    def is_person(self) -> bool:
        """Tell whether a human acts; only people may run queries on their own machine."""
        return self.kind is PrincipalKind.USER


SYSTEM = Actor(
    kind=PrincipalKind.SYSTEM,
    id=UUID(int=0),
    label="upend",
    organization_id=None,
)
"""Upend itself: schedules, recovery, migrations. Never the actor of a person's request."""
