"""Which part of the ledger is asked for: plain values, applied to what the actor may read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import models

from accounts.domain import Actor
from audit.models import AuditRecord, AuditRecordQuerySet


@dataclass(frozen=True, slots=True)
class LedgerFilter:
    """A question to the ledger; empty members do not narrow.

    `event` is an event or a noun (`device` for every `device.…`), `actor` an id or a label,
    `target` an id, a label or a kind. `since` is inclusive, `until` exclusive.
    """

    workspace_id: UUID | None = None
    event: str = ""
    actor: str = ""
    target: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the members that narrow, JSON-ready."""
        members = {
            "workspace_id": str(self.workspace_id or ""),
            "event": self.event,
            "actor": self.actor,
            "target": self.target,
            "since": self.since.isoformat() if self.since else "",
            "until": self.until.isoformat() if self.until else "",
        }
        return {name: value for name, value in members.items() if value}


def find_records(actor: Actor, question: LedgerFilter) -> AuditRecordQuerySet:
    """Return the records that `actor` may read and `question` asks for, newest first."""
    rows = AuditRecord.objects.visible_to(actor)
    if question.workspace_id is not None:
        rows = rows.filter(workspace_id=question.workspace_id)
    if question.event:
        noun = models.Q(event__startswith=f"{question.event}.")
        rows = rows.filter(models.Q(event=question.event) | noun)
    if question.actor:
        rows = rows.filter(_named(question.actor, "actor_id", "actor_label"))
    if question.target:
        by_name = _named(question.target, "target_id", "target_label")
        rows = rows.filter(by_name | models.Q(target_kind=question.target))
    if question.since is not None:
        rows = rows.filter(recorded_at__gte=question.since)
    if question.until is not None:
        rows = rows.filter(recorded_at__lt=question.until)
    return rows


def _named(text: str, id_field: str, label_field: str) -> models.Q:
    by_label = models.Q(**{label_field: text})
    if id_field == "target_id":
        return by_label | models.Q(target_id=text)
    try:
        return by_label | models.Q(**{id_field: UUID(text)})
    except ValueError:
        return by_label
