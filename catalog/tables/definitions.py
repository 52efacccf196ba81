"""From DuckLake's metadata to the definition on which changes are tried."""

from __future__ import annotations

import re

from catalog import lake
from catalog.domain import Table
from catalog.lake.definitions import Definition, definition
from catalog.models import Catalog
from catalog.tables.layout import ColumnLayout, Layout, PartitionKey, SortKey, Transform

BUCKETS = re.compile(r"bucket\((\d+)\)")


def layout_of(
    catalog: Catalog, snapshot_id: int, table: Table, seen: Table | None = None
) -> Layout:
    """Return the definition of a table; with `seen`, as it looks to whom columns are hidden."""
    shown = seen or table
    found = definition(catalog, snapshot_id, table)
    visible = {column.column_id for column in shown.top_columns}
    names = {column.column_id: column.name for column in table.top_columns}
    return Layout(
        schema=table.schema_name,
        table=table.name,
        columns=_columns(shown, found),
        comment=found.comment,
        partition_by=tuple(
            _partition_key(names.get(column, ""), transform)
            for column, transform in found.partition_by
        ),
        sort_by=tuple(SortKey(_unquoted(text), way == "DESC") for text, way in found.sort_by),
        schema_version=found.schema_version,
        hidden=frozenset(names[id_].lower() for id_ in names.keys() - visible),
    )


def newest_layout(catalog: Catalog, table: Table, seen: Table | None = None) -> Layout:
    """Return the definition of a table as it is now."""
    return layout_of(catalog, lake.latest_snapshot(catalog).snapshot_id, table, seen)


def _columns(table: Table, found: Definition) -> tuple[ColumnLayout, ...]:
    return tuple(
        ColumnLayout(
            name=column.name,
            type=column.duckdb_type,
            nulls_allowed=column.nulls_allowed,
            default=column.default_value,
            comment=found.column_comments.get(column.column_id, ""),
            field_id=column.column_id,
        )
        for column in table.top_columns
    )


def _partition_key(column: str, transform: str) -> PartitionKey:
    if buckets := BUCKETS.fullmatch(transform):
        return PartitionKey(column, Transform.BUCKET, int(buckets[1]))
    return PartitionKey(column, Transform(transform))


def _unquoted(expression: str) -> str:
    """Return the column of a sort expression; an expression over columns stays as it is."""
    if expression.startswith('"') and expression.endswith('"'):
        return expression[1:-1].replace('""', '"')
    return expression
