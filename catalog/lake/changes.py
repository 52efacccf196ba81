"""Says since when a table is what it is: what another table's commit did not touch.

Reads `ducklake_snapshot_changes`, by which DuckLake itself decides whether two commits conflict.
Source: https://ducklake.select/docs/stable/specification/tables/ducklake_snapshot_changes
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from catalog.lake.metadata import rows
from catalog.models import Catalog

LOOKED_BACK = 500
"""Older changes are not looked for: the answer is then late, never wrong."""

CHANGE = re.compile(
    r"(?:inserted_into_table|deleted_from_table|inlined_insert|inlined_delete):(?P<table>[0-9]+)"
    r'|created_table:"(?:[^"]|"")*"\."(?:[^"]|"")*"'
    r"|(?:merge_adjacent|rewrite_delete|inline_flush):[0-9]+"
)
"""The changes known to leave every other table as it was; creating one touches none.

Nor does upkeep: it puts the same rows into other files.
"""


@dataclass(frozen=True, slots=True)
class State:
    """A table as it has been since snapshot `snapshot_id`, committed at `committed_at`.

    The time is None where the snapshot was expired. It tells apart snapshots of one number, as a
    restored backup makes them.
    """

    snapshot_id: int
    committed_at: datetime | None


def unchanged_since(
    catalog: Catalog, table_ids: Iterable[int], snapshot_id: int
) -> dict[int, State]:
    """Return the oldest state known to equal each table's at `snapshot_id`.

    Equal answers mean equal rows and columns. What is not understood counts as a change of every
    table, and so does a snapshot that was expired.
    """
    found = rows(
        catalog,
        "SELECT s.snapshot_id, s.snapshot_time, coalesce(c.changes_made, '')"
        " FROM {ducklake_snapshot} s LEFT JOIN {ducklake_snapshot_changes} c USING (snapshot_id)"
        " WHERE s.snapshot_id BETWEEN %(first)s AND %(last)s",
        {"first": snapshot_id - LOOKED_BACK, "last": snapshot_id},
    )
    times = {number: time for number, time, _ in found}
    touched = {number: touched_tables(changes) for number, _, changes in found}
    since = {table: _since(touched, table, snapshot_id) for table in table_ids}
    return {table: State(first, times.get(first)) for table, first in since.items()}


def touched_tables(changes: str) -> frozenset[int] | None:
    """Return the tables that a commit changed; None where that cannot be said of all it did."""
    if not changes:
        return None
    found: set[int] = set()
    position = 0
    while match := CHANGE.match(changes, position):
        if match["table"]:
            found.add(int(match["table"]))
        if match.end() == len(changes):
            return frozenset(found)
        if changes[match.end()] != ",":
            return None
        position = match.end() + 1
    return None


def _since(touched: Mapping[int, frozenset[int] | None], table: int, snapshot_id: int) -> int:
    """Go back while the commit of the snapshot is known and did not touch the table."""
    number = snapshot_id
    while (changed := touched.get(number)) is not None and table not in changed:
        number -= 1
    return number
