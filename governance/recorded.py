"""What was asked and decided in the past, of the room above: governance knows no queries.

Execution registers itself when the applications are ready.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol
from uuid import UUID

from audit.domain import Event
from audit.models import AuditRecord
from governance.domain import Action
from workspaces.models import Workspace


@dataclass(frozen=True, slots=True)
class ReadTable:
    """A table that a query read: which columns that SQL sees, and how many bytes of it."""

    key: str
    label: str
    columns: tuple[str, ...] = ()
    scan_bytes: int = 0

    @property
    def without_bytes(self) -> ReadTable:
        """Return the same where it does not matter how much was read."""
        return replace(self, scan_bytes=0) if self.scan_bytes else self


@dataclass(frozen=True, slots=True)
class Recorded:
    """What was asked: a query that was accepted, or with an `action`, one that was refused.

    `is_local` says that a query was for the person's own device; of a refusal, `tables` has the
    one thing that it was about.
    """

    id: str
    principal_id: UUID
    device_id: UUID | None
    is_local: bool
    at: datetime
    tables: tuple[ReadTable, ...]
    mfa: bool = False
    purpose: str = ""
    address: str = ""
    action: Action | None = None


class Recordings(Protocol):
    """Finds the queries of a workspace that were accepted since a moment."""

    def count(self, workspace: Workspace, since: datetime) -> int:
        """Return how many there are."""

    def batches(
        self, workspace: Workspace, since: datetime, size: int
    ) -> Iterator[Sequence[Recorded]]:
        """Return all of them, the oldest first, so many at a time."""


_registered: list[Recordings] = []


def register(recordings: Recordings) -> None:
    """Answer with `recordings` from now on."""
    _registered[:] = [recordings]


def recordings() -> Recordings:
    """Return who knows what ran."""
    return _registered[0]


def refusals(workspace: Workspace, since: datetime, size: int) -> Iterator[Sequence[Recorded]]:
    """Return what the ledger says was refused since, about catalogs, tables and the workspace."""
    rows = AuditRecord.objects.filter(
        workspace=workspace, event=Event.DECISION_DENIED, recorded_at__gte=since
    )
    after = 0
    while found := list(rows.filter(id__gt=after).order_by("id")[:size]):
        yield [one for one in map(_refusal, found) if one]
        after = found[-1].id


def count_refusals(workspace: Workspace, since: datetime) -> int:
    """Return how many refusals the ledger has since."""
    rows = AuditRecord.objects.filter(
        workspace=workspace, event=Event.DECISION_DENIED, recorded_at__gte=since
    )
    return rows.count()


def _refusal(row: AuditRecord) -> Recorded | None:
    """Return a refusal; None for one whose record does not say what was asked."""
    decision = row.decision or {}
    try:
        about = decision["securable"]
        table = ReadTable(about["key"], about["label"])
        action = Action(decision["action"])
    except (KeyError, TypeError, ValueError):
        return None
    return Recorded(
        str(row.id),
        row.actor_id,
        row.device_id,
        is_local=False,
        at=row.recorded_at,
        tables=(table,),
        address=row.address,
        action=action,
    )
