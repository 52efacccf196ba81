"""What holds for a catalog or a table: its own word, else its catalog's, else Upend's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import time
from typing import Any
from uuid import UUID

from catalog.maintenance.domain import (
    MAX_TARGET_BYTES,
    MIN_TARGET_BYTES,
    Policy,
    QuietHours,
)
from catalog.models import Catalog, MaintenancePolicy
from problems import Invalid

FIELDS = (
    "enabled",
    "target_file_bytes",
    "keep_days",
    "keep_tagged",
    "quiet_hours",
    "daily_budget_bytes",
)
OF_CATALOGS = frozenset({"keep_days", "keep_tagged", "quiet_hours", "daily_budget_bytes"})
"""What is said of whole catalogs only: snapshots and budgets are not a table's."""

HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


def policy_of(catalog: Catalog, table_uuid: UUID | None = None) -> Policy:
    """Return what holds for the catalog, or for one of its tables."""
    said = {row.table_uuid: row for row in MaintenancePolicy.objects.filter(catalog=catalog)}
    return inherited([said[key] for key in (None, table_uuid) if key in said])


def policies_of(catalog: Catalog) -> tuple[Policy, dict[UUID, Policy]]:
    """Return what holds for the catalog, and for those of its tables that differ."""
    rows = list(MaintenancePolicy.objects.filter(catalog=catalog))
    own = [row for row in rows if row.table_uuid is None]
    tables = {row.table_uuid: inherited([*own, row]) for row in rows if row.table_uuid is not None}
    return inherited(own), tables


def inherited(rows: Sequence[MaintenancePolicy]) -> Policy:
    """Return what rows say together, the later over the earlier, and Upend where none does."""
    said: dict[str, Any] = {}
    for row in rows:
        said |= {name: value for name in FIELDS if (value := getattr(row, name)) is not None}
    if "quiet_hours" in said:
        said["quiet_hours"] = quiet_hours(said["quiet_hours"])
    if said.get("keep_days") == 0:
        said["keep_days"] = None
    return Policy(**said)


def quiet_hours(text: str) -> QuietHours | None:
    """Return the hours that `22:00-06:00` spells; None for no text. Raises `Invalid`."""
    if not text:
        return None
    found = HOURS.fullmatch(text)
    if found is None:
        raise Invalid(f"{text!r} are no hours.", hint="Write them as 22:00-06:00, in UTC.")
    since, until = (time(int(found[n]), int(found[n + 1])) for n in (1, 3))
    return QuietHours(since, until)


def check(changes: dict[str, Any], *, of_table: bool) -> None:
    """Refuse what a policy cannot say. Raises `Invalid`."""
    if of_table and (wrong := OF_CATALOGS & changes.keys()):
        raise Invalid(
            f"A table has no {', '.join(sorted(wrong))} of its own.",
            hint="Snapshots, hours and budgets are its catalog's: change them there.",
        )
    target = changes.get("target_file_bytes")
    if target is not None and not MIN_TARGET_BYTES <= target <= MAX_TARGET_BYTES:
        raise Invalid(
            f"A file of {target:,} bytes is nothing to aim at.",
            hint=f"Choose from {MIN_TARGET_BYTES:,} to {MAX_TARGET_BYTES:,} bytes.",
        )
    quiet_hours(changes.get("quiet_hours") or "")
