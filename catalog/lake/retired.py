"""Knows what a lake no longer needs: snapshots that may expire, and files that were replaced."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from django.db import connection

from catalog.lake.metadata import compose, rows
from catalog.lake.paths import LakePath, PathOutsidePrefix, key_of, prefix_of, root
from catalog.models import Catalog

SCHEDULED: LiteralString = (
    "SELECT data_file_id, path, path_is_relative, schedule_start"
    " FROM {ducklake_files_scheduled_for_deletion} WHERE NOT EXISTS"
    " (SELECT FROM unnest(%(registered)s::text[]) p WHERE starts_with(path, p))"
    " ORDER BY schedule_start LIMIT %(limit)s"
)


@dataclass(frozen=True, slots=True)
class Retired:
    """A file that nothing in the metadata names any more. `key` is None outside the prefix."""

    file_id: int
    key: str | None
    replaced_at: datetime


def superseded_before(catalog: Catalog, moment: datetime, limit: int) -> list[int]:
    """Return the snapshots that a later one had superseded before `moment`, the oldest first.

    The one that was the newest at `moment` is not among them: it is what a reader sees who asks
    for the lake as it was then.
    """
    found = rows(
        catalog,
        "SELECT snapshot_id FROM (SELECT snapshot_id, lead(snapshot_time) OVER"
        "  (ORDER BY snapshot_id) AS superseded_at FROM {ducklake_snapshot}) s"
        " WHERE superseded_at < %(moment)s ORDER BY snapshot_id LIMIT %(limit)s",
        {"moment": moment, "limit": limit},
    )
    return [number for (number,) in found]


def snapshot_span(catalog: Catalog) -> tuple[int, datetime | None]:
    """Return how many snapshots there are, and when the oldest was committed."""
    found = rows(catalog, "SELECT count(*), min(snapshot_time) FROM {ducklake_snapshot}")
    return found[0][0], found[0][1]


def held_by_history(catalog: Catalog, table_id: int | None = None) -> tuple[int, int]:
    """Return how many data files only older snapshots need, and their bytes."""
    found = rows(
        catalog,
        "SELECT count(*), coalesce(sum(file_size_bytes), 0)::bigint FROM {ducklake_data_file}"
        " WHERE end_snapshot IS NOT NULL"
        " AND (%(table)s::bigint IS NULL OR table_id = %(table)s)",
        {"table": table_id},
    )
    return found[0][0], found[0][1]


def held_by_table(catalog: Catalog) -> dict[int, tuple[int, int]]:
    """Return by table how many data files only older snapshots need, and their bytes."""
    found = rows(
        catalog,
        "SELECT table_id, count(*), coalesce(sum(file_size_bytes), 0)::bigint"
        " FROM {ducklake_data_file} WHERE end_snapshot IS NOT NULL GROUP BY 1",
    )
    return {table_id: (files, size) for table_id, files, size in found}


def table_prefixes(catalog: Catalog) -> dict[str, UUID]:
    """Return the live tables by the prefix of the keys that their files have."""
    found = rows(
        catalog,
        "SELECT t.table_uuid, s.path, s.path_is_relative, t.path, t.path_is_relative"
        " FROM {ducklake_table} t JOIN {ducklake_schema} s USING (schema_id)"
        " WHERE t.end_snapshot IS NULL AND s.end_snapshot IS NULL",
    )
    prefixes: dict[str, UUID] = {}
    for table_uuid, *path in found:
        schema = LakePath(path[0], path[1]).below(root(catalog))
        with suppress(PathOutsidePrefix):
            prefixes[prefix_of(catalog, LakePath(path[2], path[3]).below(schema))] = table_uuid
    return prefixes


def scheduled(catalog: Catalog, limit: int) -> list[Retired]:
    """Return files that were replaced or expired and wait to be deleted, the oldest first.

    Files that were registered are not among them: who wrote them keeps them.
    """
    found = rows(catalog, SCHEDULED, {"limit": limit, "registered": _registered(catalog)})
    return [Retired(row[0], _key(catalog, LakePath(row[1], row[2])), row[3]) for row in found]


def scheduled_count(catalog: Catalog) -> int:
    """Return how many files wait to be deleted."""
    found = rows(
        catalog,
        "SELECT count(*) FROM {ducklake_files_scheduled_for_deletion} WHERE NOT EXISTS"
        " (SELECT FROM unnest(%(registered)s::text[]) p WHERE starts_with(path, p))",
        {"registered": _registered(catalog)},
    )
    count: int = found[0][0]
    return count


def forget(catalog: Catalog, file_ids: Sequence[int]) -> None:
    """Take deleted files off the list of those that wait for it."""
    text = compose(
        catalog.metadata_schema,
        "DELETE FROM {ducklake_files_scheduled_for_deletion} WHERE data_file_id = ANY(%(files)s)",
    )
    with connection.cursor() as cursor:
        cursor.execute(text, {"files": list(file_ids)})


def known_keys(catalog: Catalog) -> frozenset[str]:
    """Return the keys of every file that the metadata names, at any snapshot or as replaced.

    Raises `PathOutsidePrefix` where it names one that is not the lake's own.
    """
    tables = rows(
        catalog,
        "SELECT t.table_id, s.path, s.path_is_relative, t.path, t.path_is_relative"
        " FROM {ducklake_table} t JOIN {ducklake_schema} s USING (schema_id)",
    )
    parents: dict[int, set[str]] = {}
    for table_id, *path in tables:
        schema = LakePath(path[0], path[1]).below(root(catalog))
        parents.setdefault(table_id, set()).add(LakePath(path[2], path[3]).below(schema))
    named = rows(
        catalog,
        "SELECT table_id, path, path_is_relative FROM {ducklake_data_file}"
        " UNION ALL SELECT table_id, path, path_is_relative FROM {ducklake_delete_file}",
    )
    found = {
        key_of(catalog, LakePath(path, is_relative).below(parent))
        for table_id, path, is_relative in named
        for parent in (parents.get(table_id, {root(catalog)}) if is_relative else {""})
    }
    found |= {one.key for one in scheduled(catalog, 10**9) if one.key is not None}
    return frozenset(found)


def _registered(catalog: Catalog) -> list[str]:
    bucket = f"s3://{catalog.bucket.bucket_name}/"
    return [bucket + prefix for prefix in catalog.registered_prefixes]


def _key(catalog: Catalog, path: LakePath) -> str | None:
    try:
        return key_of(catalog, path.below(root(catalog)))
    except PathOutsidePrefix:
        return None
