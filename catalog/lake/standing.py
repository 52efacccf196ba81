"""Counts how the files of a lake stand: in tiers of size, with deletes, inlined, and scheduled.

Files merge only with those of the same table, schema version and partition that have no deletes;
so they are counted by that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg import sql

from catalog.lake.metadata import rows
from catalog.models import Catalog


@dataclass(frozen=True, slots=True)
class FileGroup:
    """Live files of a table that are of one tier and could be merged; `tier` counts from 1."""

    table_id: int
    tier: int
    has_deletes: bool
    files: int
    size_bytes: int
    rows: int
    deleted_rows: int
    worth_rewriting_bytes: int


@dataclass(frozen=True, slots=True)
class Named:
    """A live table, without its columns."""

    table_id: int
    table_uuid: UUID
    schema_name: str
    name: str


@dataclass(frozen=True, slots=True)
class Inlined:
    """What the metadata keeps of a table instead of files: rows and deletes of rows."""

    rows: int
    since: datetime | None


def named_tables(catalog: Catalog, table_id: int | None = None) -> list[Named]:
    """Return the live tables, or one of them, by schema and name."""
    found = rows(
        catalog,
        "SELECT t.table_id, t.table_uuid, s.schema_name, t.table_name FROM {ducklake_table} t"
        " JOIN {ducklake_schema} s USING (schema_id)"
        " WHERE t.end_snapshot IS NULL AND s.end_snapshot IS NULL"
        " AND (%(table)s::bigint IS NULL OR t.table_id = %(table)s) ORDER BY 3, 4",
        {"table": table_id},
    )
    return [Named(*row) for row in found]


def file_groups(
    catalog: Catalog, floors: Sequence[int], target: int, worth: float, table_id: int | None = None
) -> list[FileGroup]:
    """Return the live files of all tables, or of one, by what could be merged.

    `floors` are where tiers begin; files of `target` bytes or more are of the last one. `worth` is
    the share of deleted rows from which a file is worth rewriting.
    """
    found = rows(
        catalog,
        "SELECT table_id, tier, deleted > 0, count(*), sum(size)::bigint, sum(records)::bigint,"
        " sum(deleted)::bigint,"
        " coalesce(sum(size) FILTER (WHERE deleted > %(worth)s * records), 0)::bigint"
        " FROM (SELECT f.table_id, f.file_size_bytes AS size, f.record_count AS records,"
        "  coalesce(d.deleted, 0) AS deleted, p.partition,"
        "  width_bucket(f.file_size_bytes, %(floors)s::bigint[]) AS tier,"
        "  (SELECT max(v.schema_version) FROM {ducklake_schema_versions} v"
        "   WHERE v.table_id = f.table_id AND v.begin_snapshot <= f.begin_snapshot) AS version"
        "  FROM {ducklake_data_file} f"
        "  LEFT JOIN (SELECT data_file_id, sum(delete_count) AS deleted"
        "   FROM {ducklake_delete_file} WHERE end_snapshot IS NULL"
        "   AND (%(table)s::bigint IS NULL OR table_id = %(table)s) GROUP BY 1) d"
        "   USING (data_file_id)"
        "  LEFT JOIN (SELECT data_file_id, string_agg(coalesce(partition_value, '~'), '/'"
        "   ORDER BY partition_key_index) AS partition FROM {ducklake_file_partition_value}"
        "   WHERE %(table)s::bigint IS NULL OR table_id = %(table)s GROUP BY 1) p"
        "   USING (data_file_id)"
        "  WHERE f.end_snapshot IS NULL AND (%(table)s::bigint IS NULL OR f.table_id = %(table)s)"
        " ) x GROUP BY table_id, version, partition, tier, deleted > 0",
        {"table": table_id, "floors": [*floors, target], "worth": worth},
    )
    return [FileGroup(*row) for row in found]


def target_files(catalog: Catalog) -> dict[int, int]:
    """Return the file size that the lake itself has been told to aim at, by table."""
    found = rows(
        catalog,
        "SELECT scope_id, value FROM {ducklake_metadata}"
        " WHERE key = 'target_file_size' AND scope = 'table' AND value ~ '^[0-9]+$'",
    )
    return {int(table_id): int(value) for table_id, value in found}


def inlined_tables(catalog: Catalog, table_id: int | None = None) -> dict[int, Inlined]:
    """Return what is inlined, by table. Inlined tables that never had a row are not looked at."""
    named = rows(
        catalog,
        "SELECT n.table_id, n.table_name FROM {ducklake_inlined_data_tables} n"
        " WHERE %(table)s::bigint IS NULL OR n.table_id = %(table)s"
        " UNION SELECT t.table_id, 'ducklake_inlined_delete_' || t.table_id FROM {ducklake_table} t"
        " WHERE t.end_snapshot IS NULL AND (%(table)s::bigint IS NULL OR t.table_id = %(table)s)",
        {"table": table_id},
    )
    filled = _filled(catalog, [name for _, name in named])
    parts = [
        sql.SQL("SELECT {}::bigint, count(*), min(begin_snapshot) FROM {}").format(
            sql.Literal(number), sql.Identifier(catalog.metadata_schema, name)
        )
        for number, name in named
        if name in filled
    ]
    if not parts:
        return {}
    found = rows(
        catalog,
        "SELECT i.table_id, sum(i.n)::bigint, min(coalesce(s.snapshot_time, now()))"
        " FROM ({parts}) AS i(table_id, n, since)"
        " LEFT JOIN {ducklake_snapshot} s ON s.snapshot_id = i.since"
        " WHERE i.n > 0 GROUP BY 1",
        parts=sql.SQL(" UNION ALL ").join(parts),
    )
    return {row[0]: Inlined(row[1], row[2]) for row in found}


def _filled(catalog: Catalog, names: list[str]) -> frozenset[str]:
    """Return which of these tables exist and have a page of their own."""
    found = rows(
        catalog,
        "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %(schema)s AND c.relname = ANY(%(names)s)"
        " AND pg_relation_size(c.oid) > 0",
        {"schema": catalog.metadata_schema, "names": names},
    )
    return frozenset(name for (name,) in found)


def written_since(catalog: Catalog, file_id: int) -> tuple[int, int]:
    """Return how many data files have an id of `file_id` or more, and their bytes."""
    found = rows(
        catalog,
        "SELECT count(*), coalesce(sum(file_size_bytes), 0)::bigint FROM {ducklake_data_file}"
        " WHERE data_file_id >= %(file)s",
        {"file": file_id},
    )
    return found[0][0], found[0][1]
