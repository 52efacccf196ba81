"""Finds the data files a query needs and what its columns weigh, in SQL over file statistics.

A file is left out only when its statistics prove that no row can match: a missing, unsafe or
unreadable statistic keeps the file.
Source: https://ducklake.select/docs/stable/specification/tables/ducklake_file_column_stats
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, LiteralString

from psycopg import sql

from catalog.domain import Column, ColumnFilter, PrunedFiles, Table
from catalog.lake.coalescing import FRAME_BYTES, MAGIC_BYTES, coalesced_bytes
from catalog.lake.columns import leaves_of
from catalog.lake.constants import Bound, bounds_of
from catalog.lake.metadata import Row, live_as, rows
from catalog.lake.types import Comparison, comparison_of
from catalog.models import Catalog

READABLE = {
    Comparison.BOOLEAN: sql.SQL("{0} IN ('0', '1', 'true', 'false')"),
    Comparison.FLOAT: sql.SQL(r"{0} ~ '^-?[0-9]+([.][0-9]+)?(e[+-]?[0-9]{{1,2}})?$'"),
    Comparison.NUMERIC: sql.SQL(r"{0} ~ '^-?[0-9]+([.][0-9]+)?$'"),
    Comparison.TEXT: sql.SQL("true"),
    Comparison.ISO_DATE: sql.SQL("length({0}) = 10"),
    Comparison.ISO_TIME: sql.SQL("length({0}) BETWEEN 8 AND 18"),
    Comparison.ISO_TIMESTAMP: sql.SQL(
        "length({0}) BETWEEN 19 AND 29 AND substr({0}, 5, 1) = '-' AND right({0}, 1) <> ')'"
    ),
    Comparison.ISO_TIMESTAMPTZ: sql.SQL(
        "length({0}) BETWEEN 22 AND 32 AND substr({0}, 5, 1) = '-' AND right({0}, 3) = '+00'"
    ),
}
"""When a statistic's text is of the form that compares: years of four digits, no BC, no inf."""

COMPARABLE = {
    Comparison.BOOLEAN: sql.SQL("(CASE WHEN {0} IN ('1', 'true') THEN 1 ELSE 0 END)"),
    Comparison.FLOAT: sql.SQL("{0}::double precision"),
    Comparison.NUMERIC: sql.SQL("{0}::numeric"),
    Comparison.ISO_TIMESTAMPTZ: sql.SQL('(left({0}, -3) COLLATE "C")'),
}
AS_TEXT = sql.SQL('({0} COLLATE "C")')


@dataclass
class _Conditions:
    """The conditions of a query in the making, with their parameters."""

    joins: list[sql.Composable] = field(default_factory=list)
    tests: list[sql.Composable] = field(default_factory=list)
    parameters: dict[str, Any] = field(default_factory=dict)

    def bound(self, value: Bound) -> sql.Composable:
        """Add a parameter and return its placeholder."""
        name = f"p{len(self.parameters)}"
        self.parameters[name] = value
        return sql.Placeholder(name)


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
    by_name = {c.name.lower(): c for c in table.top_columns}
    conditions = _Conditions()
    for item in filters:
        if column := by_name.get(item.column.lower()):
            _add(catalog, conditions, column, item)
    survivors = _survivors(catalog, table, snapshot_id, conditions)
    ids = [row[0] for row in survivors]
    wanted = frozenset(by_name[n.lower()].column_id for n in columns if n.lower() in by_name)
    leaves = sorted(leaves_of(table.columns, wanted))
    deleted, delete_bytes = _deletes(catalog, table, snapshot_id, ids)
    scan_bytes = _column_bytes(catalog, table, leaves, ids)
    if leaves:
        footers = sum(row[2] + FRAME_BYTES for row in survivors)
        scan_bytes += delete_bytes + footers + coalesced_bytes(catalog, table, leaves, ids)
    return PrunedFiles(
        data_file_ids=tuple(ids),
        scan_bytes=scan_bytes,
        rows=max(sum(row[1] for row in survivors) - deleted, 0) + table.inlined_count,
        total_files=table.file_count,
        total_bytes=table.file_size_bytes,
    )


def _add(catalog: Catalog, conditions: _Conditions, column: Column, item: ColumnFilter) -> None:
    """Add the test of one filter, where its shape and constants are understood."""
    alias = f"s{len(conditions.joins)}"
    test: sql.Composable
    match item.operator:
        case "is_null":
            test = sql.SQL(
                "({0}.null_count IS NULL OR {0}.null_count > 0 OR {0}.value_count = 0)"
            ).format(sql.Identifier(alias))
        case "is_not_null":
            test = sql.SQL("NOT {0}").format(_all_null(alias))
        case _:
            compared = _compared(conditions, alias, column, item)
            if compared is None:
                return
            test = sql.SQL("NOT {0} AND {1}").format(_all_null(alias), compared)
    conditions.tests.append(sql.SQL("({0}) IS NOT FALSE").format(test))
    conditions.joins.append(
        sql.SQL(
            "LEFT JOIN {0} {1} ON {1}.table_id = f.table_id AND {1}.column_id = {2}"
            " AND {1}.data_file_id = f.data_file_id"
        ).format(
            sql.Identifier(catalog.metadata_schema, "ducklake_file_column_stats"),
            sql.Identifier(alias),
            conditions.bound(column.column_id),
        )
    )


def _all_null(alias: str) -> sql.Composed:
    """Return the test that a file holds nothing but NULL; unknown where nothing was counted."""
    text = sql.SQL(
        "({0}.value_count = 0 AND {0}.null_count >= f.record_count AND f.record_count > 0)"
    )
    return text.format(sql.Identifier(alias))


def _compared(
    conditions: _Conditions, alias: str, column: Column, item: ColumnFilter
) -> sql.Composable | None:
    """Return the comparison of statistics with the constants, None where it proves nothing."""
    comparison = comparison_of(column.ducklake_type)
    bounds = [bounds_of(value, comparison) for value in item.values]
    if not bounds or item.operator not in {"=", "<", "<=", ">", ">=", "in"}:
        return None
    tests = []
    for bound in bounds:
        if bound is None:
            return None
        tests.append(_one(conditions, alias, comparison, item.operator, bound))
    return sql.SQL("({0})").format(sql.SQL(" OR ").join(tests))


def _one(
    conditions: _Conditions,
    alias: str,
    comparison: Comparison,
    operator: str,
    bound: tuple[Bound, Bound],
) -> sql.Composable:
    """Return one comparison: the file's range against one constant.

    A NaN is greater than everything and not in the statistics, so a file that has or may have
    one has no maximum.
    """
    low, high = bound
    above = _side(
        alias,
        "max_value",
        comparison,
        ">" if operator == ">" else ">=",
        conditions.bound(low),
        exact=low == high,
    )
    if comparison is Comparison.FLOAT:
        above = sql.SQL("({0}.contains_nan IS NOT FALSE OR {1})").format(
            sql.Identifier(alias), above
        )
    below = _side(
        alias,
        "min_value",
        comparison,
        "<" if operator == "<" else "<=",
        conditions.bound(high),
        exact=low == high,
    )
    if operator in {">", ">="}:
        return above
    if operator in {"<", "<="}:
        return below
    return sql.SQL("({0} AND {1})").format(above, below)


def _side(
    alias: str,
    statistic: str,
    comparison: Comparison,
    operator: LiteralString,
    value: sql.Composable,
    *,
    exact: bool,
) -> sql.Composable:
    """Return one guarded comparison of a statistic's text; true where it cannot be read."""
    text = sql.Identifier(alias, statistic)
    guard = READABLE[comparison].format(text)
    spelled = COMPARABLE.get(comparison, AS_TEXT).format(text)
    if not exact:
        operator = operator if "=" in operator else f"{operator}="
    return sql.SQL("(CASE WHEN {0} THEN {1} {2} {3} END) IS NOT FALSE").format(
        guard, spelled, sql.SQL(operator), value
    )


def _survivors(
    catalog: Catalog, table: Table, snapshot_id: int, conditions: _Conditions
) -> list[Row]:
    """Return (data_file_id, record_count, footer_size) of the files that may match."""
    return rows(
        catalog,
        "SELECT f.data_file_id, f.record_count, coalesce(f.footer_size, 0)"
        " FROM {ducklake_data_file} f {joins}"
        " WHERE f.table_id = %(table)s AND {live_file} AND {tests} ORDER BY f.data_file_id",
        conditions.parameters | {"table": table.table_id, "snapshot": snapshot_id},
        live_file=live_as("f"),
        joins=sql.SQL(" ").join(conditions.joins),
        tests=sql.SQL(" AND ").join([sql.SQL("true"), *conditions.tests]),
    )


def _column_bytes(catalog: Catalog, table: Table, leaves: list[int], ids: list[int]) -> int:
    """Return the bytes of the leaf columns in the files.

    A column whose type has no statistics (INTERVAL, for one) is charged what the file's other
    columns leave over.
    """
    if not leaves or not ids:
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


def _deletes(catalog: Catalog, table: Table, snapshot_id: int, ids: list[int]) -> tuple[int, int]:
    """Return (rows deleted, bytes) of the live delete files of these data files."""
    found = rows(
        catalog,
        "SELECT coalesce(sum(delete_count), 0)::bigint, coalesce(sum(file_size_bytes), 0)::bigint"
        " FROM {ducklake_delete_file} WHERE table_id = %(table)s"
        " AND data_file_id = ANY(%(files)s) AND {live}",
        {"table": table.table_id, "files": ids, "snapshot": snapshot_id},
    )
    return int(found[0][0]), int(found[0][1])
