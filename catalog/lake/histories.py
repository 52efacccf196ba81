"""Reads which snapshots touched a table, and what lies between two of them."""

from __future__ import annotations

from dataclasses import dataclass

from catalog.lake import facts
from catalog.lake.metadata import rows
from catalog.lake.snapshots import Change
from catalog.models import Catalog


@dataclass(frozen=True, slots=True)
class FileChanges:
    """The files that are live at one of two snapshots only."""

    added: int
    added_bytes: int
    added_rows: int
    removed: int
    removed_bytes: int
    removed_rows: int


@dataclass(frozen=True, slots=True)
class LiveFile:
    """One data file of a table at a snapshot; `partition` has its values, in the keys' order."""

    name: str
    rows: int
    deleted_rows: int
    size_bytes: int
    since_snapshot: int
    partition: tuple[str, ...]


def live_files(
    catalog: Catalog, snapshot_id: int, table_id: int, limit: int = 50
) -> list[LiveFile]:
    """Return up to `limit` data files of a table, the largest first; remembered until a commit."""
    key = ("live files", snapshot_id, table_id, limit)
    return facts.of(catalog, key, lambda: _live_files(catalog, snapshot_id, table_id, limit))


def _live_files(catalog: Catalog, snapshot_id: int, table_id: int, limit: int) -> list[LiveFile]:
    found = rows(
        catalog,
        "SELECT regexp_replace(f.path, '^.*/', ''), f.record_count,"
        " coalesce((SELECT sum(d.delete_count)::bigint FROM {ducklake_delete_file} d"
        "  WHERE d.data_file_id = f.data_file_id AND d.begin_snapshot <= %(snapshot)s"
        "  AND (d.end_snapshot IS NULL OR d.end_snapshot > %(snapshot)s)), 0),"
        " f.file_size_bytes, f.begin_snapshot,"
        " coalesce((SELECT array_agg(p.partition_value ORDER BY p.partition_key_index)"
        "  FROM {ducklake_file_partition_value} p WHERE p.data_file_id = f.data_file_id"
        "  AND p.table_id = f.table_id), ARRAY[]::text[])"
        " FROM (SELECT * FROM {ducklake_data_file} WHERE table_id = %(table)s AND {live}"
        "  ORDER BY file_size_bytes DESC LIMIT %(limit)s) f"
        " ORDER BY f.file_size_bytes DESC, f.data_file_id",
        {"snapshot": snapshot_id, "table": table_id, "limit": limit},
    )
    return [
        LiveFile(name, records, deleted, size, since, tuple(str(value) for value in values))
        for name, records, deleted, size, since, values in found
    ]


def touching(
    catalog: Catalog, table_id: int, limit: int = 50, before: int | None = None
) -> list[Change]:
    """Return up to `limit` snapshots that made, changed or renamed one table, newest first."""
    found = rows(
        catalog,
        "SELECT s.snapshot_id, s.snapshot_time, s.schema_version, coalesce(c.author, ''),"
        " coalesce(c.commit_message, ''), coalesce(c.changes_made, '')"
        " FROM {ducklake_snapshot} s JOIN {ducklake_snapshot_changes} c USING (snapshot_id)"
        " WHERE (%(before)s::bigint IS NULL OR s.snapshot_id < %(before)s)"
        " AND (c.changes_made ~ %(pattern)s OR s.snapshot_id IN"
        "  (SELECT begin_snapshot FROM {ducklake_table} WHERE table_id = %(table)s))"
        " ORDER BY s.snapshot_id DESC LIMIT %(limit)s",
        {
            "limit": limit,
            "before": before,
            "table": table_id,
            "pattern": f":{int(table_id)}(,|$)",
        },
    )
    return [
        Change(number, time, version, author, message, tuple(filter(None, changes.split(","))))
        for number, time, version, author, message, changes in found
    ]


def table_names(catalog: Catalog, table_ids: set[int]) -> dict[int, tuple[str, str, str]]:
    """Return the (uuid, schema, name) that each table has, or had last."""
    found = rows(
        catalog,
        "SELECT DISTINCT ON (t.table_id) t.table_id, CAST(t.table_uuid AS text), s.schema_name,"
        " t.table_name FROM {ducklake_table} t JOIN {ducklake_schema} s USING (schema_id)"
        " WHERE t.table_id = ANY(%(tables)s) ORDER BY t.table_id, t.begin_snapshot DESC",
        {"tables": list(table_ids)},
    )
    return {number: (uuid, schema, name) for number, uuid, schema, name in found}


def file_changes(catalog: Catalog, table_id: int, first: int, last: int) -> FileChanges:
    """Return the files that came and went between two snapshots, the first one the older."""
    found = rows(
        catalog,
        "SELECT before, count(*), coalesce(sum(file_size_bytes), 0)::bigint,"
        " coalesce(sum(record_count), 0)::bigint FROM (SELECT file_size_bytes, record_count,"
        " (begin_snapshot <= %(first)s AND (end_snapshot IS NULL OR end_snapshot > %(first)s))"
        "  AS before,"
        " (begin_snapshot <= %(last)s AND (end_snapshot IS NULL OR end_snapshot > %(last)s))"
        "  AS after FROM {ducklake_data_file} WHERE table_id = %(table)s) f"
        " WHERE before <> after GROUP BY before",
        {"table": table_id, "first": first, "last": last},
    )
    by_side = {before: counts for before, *counts in found}
    added, removed = by_side.get(False, [0, 0, 0]), by_side.get(True, [0, 0, 0])
    return FileChanges(*added, *removed)
