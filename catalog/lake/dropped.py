"""Reads which tables were dropped and could come back: those all of whose last state is kept."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from catalog.lake.metadata import rows
from catalog.models import Catalog

OF_ID = re.compile(r"[a-z_]+:([0-9]+)")


@dataclass(frozen=True, slots=True)
class Dropped:
    """A table that is gone: `end_snapshot` dropped it, the one before still has it."""

    table_id: int
    table_uuid: str
    schema_name: str
    name: str
    end_snapshot: int
    dropped_at: datetime
    author: str

    @property
    def last_snapshot(self) -> int:
        """Return the last snapshot that has the table."""
        return self.end_snapshot - 1


def dropped_tables(catalog: Catalog, limit: int | None = None) -> list[Dropped]:
    """Return the tables that were dropped, the last one first, up to `limit`.

    Those only whose schema is there, and whose last snapshot is not expired: its files are kept.
    """
    found = rows(
        catalog,
        "SELECT t.table_id, CAST(t.table_uuid AS text), s.schema_name, t.table_name,"
        " t.end_snapshot, n.snapshot_time, coalesce(c.author, '')"
        " FROM {ducklake_table} t JOIN {ducklake_schema} s USING (schema_id)"
        " JOIN {ducklake_snapshot} n ON n.snapshot_id = t.end_snapshot"
        " JOIN {ducklake_snapshot} k ON k.snapshot_id = t.end_snapshot - 1"
        " LEFT JOIN {ducklake_snapshot_changes} c ON c.snapshot_id = t.end_snapshot"
        " WHERE s.end_snapshot IS NULL AND NOT EXISTS (SELECT 1 FROM {ducklake_table} o"
        "  WHERE o.table_id = t.table_id"
        "  AND (o.end_snapshot IS NULL OR o.end_snapshot > t.end_snapshot))"
        " ORDER BY t.end_snapshot DESC, s.schema_name, t.table_name LIMIT %(limit)s",
        {"limit": limit},
    )
    return [Dropped(*row) for row in found]


def touched_since(catalog: Catalog, snapshot_id: int, newest: int) -> set[int] | None:
    """Return the ids of the tables that commits after a snapshot name.

    None where one of those commits was expired: then any table may have changed.
    """
    found = rows(
        catalog,
        "SELECT coalesce(changes_made, '') FROM {ducklake_snapshot_changes}"
        " WHERE snapshot_id > %(first)s AND snapshot_id <= %(last)s",
        {"first": snapshot_id, "last": newest},
    )
    if len(found) < newest - snapshot_id:
        return None
    return {int(number) for (changes,) in found for number in OF_ID.findall(changes)}
