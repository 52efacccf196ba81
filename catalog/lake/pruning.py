"""Finds the data files a query needs and what its columns weigh, in SQL over file statistics.

A file is left out only when its statistics prove that no row can match: a missing, unsafe or
unreadable statistic keeps the file. The work follows the files that are left: an index over the
ranges of statistics finds them, and what is true of a whole snapshot is asked once.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from catalog.domain import Column, ColumnFilter, PrunedFiles, Table
from catalog.lake import facts
from catalog.lake.coalescing import FOOTER_GUESS_BYTES, FRAME_BYTES, MAGIC_BYTES, coalesced_bytes
from catalog.lake.columns import leaves_of
from catalog.lake.conditions import Conditions, add_filter
from catalog.lake.metadata import Row, live_as, rows
from catalog.lake.ranges import candidates
from catalog.models import Catalog

FEW_FILES = 1000
"""Of so many files, those that are left are remembered for the next who asks the same."""


def prune(
    catalog: Catalog,
    table: Table,
    snapshot_id: int,
    columns: Sequence[str],
    filters: Sequence[ColumnFilter],
) -> PrunedFiles:
    """Return the files that may hold matching rows and the bytes of `columns` in them.

    `columns` are top-level names; all leaves of nested ones are counted. Filters on unknown
    columns, or of unknown shape, prune nothing. `rows` includes the inlined ones.
    """
    if table.file_count > FEW_FILES:
        return _pruned(catalog, table, snapshot_id, columns, filters)
    key = ("pruned", table.table_id, snapshot_id, tuple(columns), tuple(filters))
    return facts.of(catalog, key, lambda: _pruned(catalog, table, snapshot_id, columns, filters))


def _pruned(
    catalog: Catalog,
    table: Table,
    snapshot_id: int,
    columns: Sequence[str],
    filters: Sequence[ColumnFilter],
) -> PrunedFiles:
    by_name = {c.name.lower(): c for c in table.top_columns}
    asked = [(by_name[f.column.lower()], f) for f in filters if f.column.lower() in by_name]
    survivors = _survivors(catalog, table, snapshot_id, asked)
    ids = [row[0] for row in survivors]
    wanted = frozenset(by_name[n.lower()].column_id for n in columns if n.lower() in by_name)
    leaves = sorted(leaves_of(table.columns, wanted))
    is_whole = len(ids) == table.file_count
    deleted, delete_bytes = _deletes(catalog, table, snapshot_id, None if is_whole else ids)
    scan_bytes = 0
    if leaves:
        scan_bytes += _column_bytes(catalog, table, snapshot_id, leaves, ids)
        scan_bytes += sum(row[2] + FRAME_BYTES for row in survivors) + delete_bytes
        scan_bytes += coalesced_bytes(catalog, table, leaves, ids)
    return PrunedFiles(
        data_file_ids=tuple(ids),
        scan_bytes=scan_bytes,
        rows=max(sum(row[1] for row in survivors) - deleted, 0) + table.inlined_count,
        total_files=table.file_count,
        total_bytes=table.file_size_bytes,
    )


def _survivors(
    catalog: Catalog,
    table: Table,
    snapshot_id: int,
    asked: Sequence[tuple[Column, ColumnFilter]],
) -> list[Row]:
    """Return (data_file_id, record_count, footer_size) of the files that may match."""
    conditions = Conditions()
    for column, item in asked:
        add_filter(catalog, conditions, column, item)
    near = candidates(catalog, table, snapshot_id, asked)
    return rows(
        catalog,
        "SELECT f.data_file_id, f.record_count, coalesce(f.footer_size, 0)"
        " FROM {ducklake_data_file} f {joins} WHERE f.table_id = %(table)s AND {live_file}"
        " AND {near} AND {tests} ORDER BY f.data_file_id",
        conditions.parameters | {"table": table.table_id, "snapshot": snapshot_id, "near": near},
        live_file=live_as("f"),
        joins=sql.SQL(" ").join(conditions.joins.values()),
        near=sql.SQL("true" if near is None else "f.data_file_id = ANY(%(near)s)"),
        tests=sql.SQL(" AND ").join([sql.SQL("true"), *conditions.tests]),
    )


def _column_bytes(
    catalog: Catalog, table: Table, snapshot_id: int, leaves: list[int], ids: list[int]
) -> int:
    """Return the bytes of the leaf columns in the files.

    A column whose type has no statistics (INTERVAL, for one) is charged what the file's other
    columns leave over.
    """
    if len(ids) == table.file_count:
        key = ("column_bytes", table.table_id, snapshot_id, tuple(leaves))
        return facts.of(catalog, key, lambda: _measured(catalog, table, leaves, ids))
    return _measured(catalog, table, leaves, ids)


def _measured(catalog: Catalog, table: Table, leaves: list[int], ids: list[int]) -> int:
    if not ids:
        return 0
    found = rows(
        catalog,
        "SELECT coalesce(sum(column_size_bytes), 0)::bigint, array_agg(DISTINCT data_file_id)"
        " FILTER (WHERE coalesce(column_size_bytes, 0) = 0 AND coalesce(value_count, 0) = 0"
        "  AND coalesce(null_count, 0) = 0)"
        " FROM {ducklake_file_column_stats} WHERE table_id = %(table)s"
        " AND column_id = ANY(%(leaves)s) AND data_file_id = ANY(%(files)s)",
        {"table": table.table_id, "leaves": leaves, "files": ids},
    )
    known, unmeasured = found[0]
    return int(known) + (_left_over(catalog, table, unmeasured) if unmeasured else 0)


def _left_over(catalog: Catalog, table: Table, ids: list[int]) -> int:
    """Return the bytes of these files that no column's statistics account for."""
    found = rows(
        catalog,
        "SELECT coalesce(sum(greatest(0, f.file_size_bytes - %(frame)s"
        " - coalesce(f.footer_size, 0)"
        " - (SELECT coalesce(sum(column_size_bytes), 0) FROM {ducklake_file_column_stats} s"
        "  WHERE s.table_id = f.table_id AND s.data_file_id = f.data_file_id))), 0)::bigint"
        " FROM {ducklake_data_file} f WHERE f.table_id = %(table)s"
        " AND f.data_file_id = ANY(%(files)s)",
        {"table": table.table_id, "files": ids, "frame": FRAME_BYTES + MAGIC_BYTES},
    )
    return int(found[0][0])


def _deletes(
    catalog: Catalog, table: Table, snapshot_id: int, ids: list[int] | None
) -> tuple[int, int]:
    """Return (rows deleted, bytes) of the live delete files of these data files, or of all.

    The engine reads a delete file's end, guessing where the footer is, and then all of its data.
    """
    found = rows(
        catalog,
        "SELECT coalesce(sum(delete_count), 0)::bigint, coalesce(sum("
        "  least(file_size_bytes, %(guess)s)"
        "  + greatest(0, file_size_bytes - coalesce(footer_size, 0) - %(frame)s)), 0)::bigint"
        " FROM {ducklake_delete_file} d WHERE table_id = %(table)s"
        " AND (%(files)s::bigint[] IS NULL OR data_file_id = ANY(%(files)s::bigint[])) AND {live}"
        " AND EXISTS (SELECT 1 FROM {ducklake_data_file} f"
        "  WHERE f.data_file_id = d.data_file_id AND {live_file})",
        {
            "table": table.table_id,
            "files": ids,
            "snapshot": snapshot_id,
            "guess": FOOTER_GUESS_BYTES,
            "frame": FRAME_BYTES,
        },
        live_file=live_as("f"),
    )
    return int(found[0][0]), int(found[0][1])
