"""Finds files by the ranges of their statistics, in time that follows the files found.

A GiST index holds each statistic as a box: the column on one axis, its range on the other. What
its text says is mapped to numbers in order and with some slack, so that a box always covers its
range; the exact tests follow on the files found. Text without such a mapping has an unbounded
box and is always found. The mapping is `upend_statistic` (catalog migration 0002).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal

from catalog.domain import Column, ColumnFilter, Table
from catalog.lake import facts
from catalog.lake.constants import Bound, Bounds, bounds_of
from catalog.lake.metadata import live_as, rows
from catalog.lake.types import Comparison, comparison_of
from catalog.models import Catalog

UNBOUNDED = 1e30
RELATIVE_SLACK = 1e-12
"""More than what a double rounds away."""

SECONDS_SLACK = 1.0
"""More than the fraction of a second, which the mapping cuts."""

COLUMN_FACTOR = 1_000_000
MAPPED = frozenset(
    {
        Comparison.ISO_DATE,
        Comparison.ISO_TIMESTAMP,
        Comparison.ISO_TIMESTAMPTZ,
        Comparison.NUMERIC,
    }
)
"""No FLOAT: a file that may hold a NaN has no maximum, and not every writer counts NaN."""

Range = tuple[float, float]


def candidates(
    catalog: Catalog,
    table: Table,
    snapshot_id: int,
    asked: Sequence[tuple[Column, ColumnFilter]],
) -> list[int] | None:
    """Return the ids of all files that may match, None where the index does not help.

    Among them are files of other snapshots, and ones that the exact tests leave out.
    """
    narrowed: dict[int, list[Range]] = defaultdict(list)
    for column, item in asked:
        if (found := range_of(column, item)) is not None:
            narrowed[column.column_id].append(found)
    best: list[int] | None = None
    for column_id, ranges in narrowed.items():
        if not _is_complete(catalog, table, snapshot_id, column_id):
            continue
        low, high = max(r[0] for r in ranges), min(r[1] for r in ranges)
        near = _near(catalog, table, column_id, (low, high)) if low <= high else []
        if best is None or len(near) < len(best):
            best = near
    return None if best is None or len(best) > table.file_count // 2 else best


def range_of(column: Column, item: ColumnFilter) -> Range | None:
    """Return the range that matching values lie in, as mapped numbers; None where unknown."""
    comparison = comparison_of(column.ducklake_type)
    if comparison not in MAPPED or not item.values:
        return None
    bounds = [bounds_of(value, comparison) for value in item.values]
    if any(bound is None for bound in bounds):
        return None
    low, high = _span(bound for bound in bounds if bound is not None)
    match item.operator:
        case "=" | "in":
            return low, high
        case "<" | "<=":
            return -UNBOUNDED, high
        case ">" | ">=":
            return low, UNBOUNDED
        case _:
            return None


def _span(bounds: Iterable[Bounds]) -> Range:
    mapped = [(_mapped(low), _mapped(high)) for low, high in bounds]
    return min(low for (low, _), _ in mapped), max(high for _, (_, high) in mapped)


def _mapped(value: Bound) -> Range:
    """Return the numbers around a constant, as `upend_statistic` maps the same text."""
    if isinstance(value, str):
        digits = re.sub(r"[^0-9]", "", value.partition(".")[0])
        number, slack = float(digits.ljust(14, "0")), SECONDS_SLACK
    else:
        number = float(Decimal(value))
        slack = abs(number) * RELATIVE_SLACK
    return max(number - slack, -UNBOUNDED), min(number + slack, UNBOUNDED)


def _near(catalog: Catalog, table: Table, column_id: int, span: Range) -> list[int]:
    at = table.table_id * COLUMN_FACTOR + column_id
    found = rows(
        catalog,
        "SELECT data_file_id FROM {ducklake_file_column_stats}"
        " WHERE public.upend_statistic_box(table_id, column_id, min_value, max_value)"
        " && %(box)s::box",
        {"box": f"(({at},{span[0]!r}),({at},{span[1]!r}))"},
    )
    return [file_id for (file_id,) in found]


def _is_complete(catalog: Catalog, table: Table, snapshot_id: int, column_id: int) -> bool:
    """Tell whether every live file has a row of statistics of the column."""
    key = ("complete", table.table_id, snapshot_id, column_id)
    return facts.of(catalog, key, lambda: _missing(catalog, table, snapshot_id, column_id) == 0)


def _missing(catalog: Catalog, table: Table, snapshot_id: int, column_id: int) -> int:
    found = rows(
        catalog,
        "SELECT count(*) FROM {ducklake_data_file} f WHERE f.table_id = %(table)s AND {live_file}"
        " AND NOT EXISTS (SELECT 1 FROM {ducklake_file_column_stats} s"
        "  WHERE s.table_id = %(table)s AND s.column_id = %(column)s"
        "  AND s.data_file_id = f.data_file_id)",
        {"table": table.table_id, "snapshot": snapshot_id, "column": column_id},
        live_file=live_as("f"),
    )
    return int(found[0][0])
