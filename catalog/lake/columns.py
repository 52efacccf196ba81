"""Reads the columns of tables, nested ones included, with their types as the engine spells them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from catalog.domain import Column
from catalog.lake.metadata import Row, rows
from catalog.lake.types import duckdb_type
from catalog.models import Catalog


def columns_of(
    catalog: Catalog, snapshot_id: int, table_ids: Sequence[int] | None = None
) -> dict[int, tuple[Column, ...]]:
    """Return the live columns by table id, nested ones included, parents before children."""
    found = rows(
        catalog,
        "SELECT table_id, column_id, column_order, column_name, column_type, nulls_allowed,"
        " parent_column, initial_default, default_value FROM {ducklake_column}"
        " WHERE (%(tables)s::bigint[] IS NULL OR table_id = ANY(%(tables)s)) AND {live}"
        " ORDER BY table_id, column_order, column_id",
        {"snapshot": snapshot_id, "tables": list(table_ids) if table_ids is not None else None},
    )
    grouped: dict[int, list[Row]] = defaultdict(list)
    for row in found:
        grouped[row[0]].append(row[1:])
    return {table_id: _columns(group) for table_id, group in grouped.items()}


def _columns(found: Sequence[Row]) -> tuple[Column, ...]:
    """Return columns with their engine types, rendered from the leaves up."""
    children: dict[int, list[Row]] = defaultdict(list)
    for row in found:
        if row[5] is not None:
            children[row[5]].append(row)

    def rendered(row: Row) -> str:
        nested = [(child[2], rendered(child)) for child in children.get(row[0], ())]
        return duckdb_type(row[3], nested)

    return tuple(
        Column(
            column_id=row[0],
            order=row[1],
            name=row[2],
            ducklake_type=row[3],
            duckdb_type=rendered(row),
            nulls_allowed=row[4],
            parent_id=row[5],
            initial_default=row[6],
            default_value=None if row[7] == "NULL" else row[7],
        )
        for row in found
    )


def leaves_of(columns: Sequence[Column], top_ids: frozenset[int]) -> frozenset[int]:
    """Return the field ids that have data in a file for these top-level columns."""
    parents = {c.parent_id for c in columns}
    wanted, found = set(top_ids), set()
    for column in columns:
        if column.parent_id in wanted:
            wanted.add(column.column_id)
        if column.column_id in wanted and column.column_id not in parents:
            found.add(column.column_id)
    return frozenset(found)
