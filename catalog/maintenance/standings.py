"""Remembers how each lake stood when it was last measured, for pages that show them all.

Measuring reads the metadata of one lake, several statements each time. So a task does it when a
lake has changed; who lists a hundred lakes reads a hundred rows in one statement.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import F, Q
from django.utils import timezone

from catalog import lake
from catalog.lake import retired
from catalog.maintenance import planning, recorded, savings
from catalog.maintenance.domain import TableHealth
from catalog.models import Catalog, CatalogStanding
from catalog.storage import Listed
from problems import Problem

TABLES_KEPT = 200
STEPS_KEPT = 20
AGAIN = timedelta(minutes=5)
"""A lake that did not change is measured again after so long: queries and leases change."""
AT_ONCE_SECONDS = 10.0
OF_NO_TABLE = ""

Json = dict[str, Any]


def measure_changed() -> int:
    """Measure the lakes that were not measured for a while, the longest first; return how many.

    It stops after some seconds: the next call goes on.
    """
    due = Q(standing=None) | Q(standing__measured_at=None)
    due |= Q(standing__measured_at__lt=timezone.now() - AGAIN)
    found = Catalog.objects.live().filter(due).select_related("bucket", "workspace__organization")
    count, deadline = 0, time.monotonic() + AT_ONCE_SECONDS
    for catalog in found.order_by(F("standing__measured_at").asc(nulls_first=True), "id"):
        try:
            measure(catalog)
        except Problem:
            continue  # not ready, or its files are not its own: its page says so
        count += 1
        if time.monotonic() > deadline:
            break
    return count


def measure(catalog: Catalog) -> CatalogStanding:
    """Measure a lake now and keep what was found. Raises `CatalogNotReady`."""
    newest = lake.latest_snapshot(catalog).snapshot_id
    found, reads = planning.survey(catalog), savings.reads_of(catalog)
    row, _ = CatalogStanding.objects.get_or_create(catalog=catalog)
    due = planning.needs(found)
    lines = [
        line(one, reads.get(f"{catalog.name}.{one.label}"), row.orphans, catalog)
        | {"needs": due.get(one.table_uuid, [])}
        for one in found.tables
    ]
    worth = (one for one in lines if _needs_work(one) or one["held_files"])
    row.snapshot_id, row.measured_at = newest, timezone.now()
    row.tables = sorted(worth, key=need, reverse=True)[:TABLES_KEPT]
    row.steps = [step.as_dict() for step in planning.steps(catalog, found)][:STEPS_KEPT]
    row.totals = {
        "tables": len(lines),
        "tables_in_need": sum(map(_needs_work, lines)),
        **{name: sum(one[name] for one in lines) for name in SUMMED},
        "snapshots": found.whole.snapshots,
        "held_files": found.whole.held_files,
        "held_bytes": found.whole.held_bytes,
        "files_to_delete": found.whole.scheduled_files,
        "budget_left_bytes": found.policy.daily_budget_bytes - planning.written_today(catalog),
    }
    row.save(update_fields=["snapshot_id", "measured_at", "tables", "steps", "totals"])
    return row


def line(found: TableHealth, reads: recorded.Reads | None, orphans: Json, catalog: Catalog) -> Json:
    """Return what is kept and shown of one table."""
    saving = savings.saving_of(found, reads)
    count, size = orphans.get(str(found.table_uuid), (0, 0))
    return {name: getattr(found, name) for name in SHOWN} | {
        "key": f"table:{catalog.id}/{found.table_uuid}",
        "orphans": count,
        "orphan_bytes": size,
        "queries": saving.queries,
        "requests_saved": saving.requests,
        "bytes_saved": saving.size_bytes,
    }


SHOWN = (
    "schema_name",
    "name",
    "files",
    "size_bytes",
    "small_files",
    "small_bytes",
    "delete_ratio",
    "files_with_deletes",
    "inlined_rows",
    "held_files",
    "held_bytes",
)
SUMMED = ("files", "size_bytes", "small_files", "inlined_rows", "requests_saved", "bytes_saved")


def need(one: Json) -> tuple[float, ...]:
    """Return by what tables are ordered.

    What needs work comes first, of that what costs queries most, then what costs storage most.
    """
    return (
        _needs_work(one),
        one["requests_saved"],
        one["bytes_saved"],
        one["small_files"] + one["files_with_deletes"],
        one["orphan_bytes"] + one["held_bytes"],
    )


def found_orphans(catalog: Catalog, found: Collection[Listed]) -> CatalogStanding:
    """Keep what a look into the bucket found that nothing names, by table."""
    prefixes = retired.table_prefixes(catalog)
    by_table: dict[str, list[int]] = {}
    for one in found:
        counted = by_table.setdefault(_owner(one.key, prefixes), [0, 0])
        counted[0] += 1
        counted[1] += one.size_bytes
    row, _ = CatalogStanding.objects.get_or_create(catalog=catalog)
    row.orphans, row.orphans_found_at, row.measured_at = by_table, timezone.now(), None
    row.save(update_fields=["orphans", "orphans_found_at", "measured_at"])
    return row


def orphans_of(row: CatalogStanding | None) -> tuple[int, int]:
    """Return how many orphans the last look found, and their bytes."""
    found = row.orphans.values() if row else ()
    return sum(count for count, _ in found), sum(size for _, size in found)


def _owner(key: str, prefixes: dict[str, UUID]) -> str:
    """Return the table in whose folder an object is, at any depth: partitions are folders."""
    parts = key.split("/")
    for end in range(len(parts) - 1, 0, -1):
        if found := prefixes.get("/".join(parts[:end]) + "/"):
            return str(found)
    return OF_NO_TABLE


def _needs_work(one: Json) -> bool:
    """Tell whether a step is due for the table. History and a small file or two are no work."""
    return bool(one.get("needs") or one["orphans"])
