"""The schema slice: what the binder may know of the tables in a query, and no more.

Names, types and row counts; no files, no statistics, no rows. Hidden columns bear the names
`c<column id>`, so that what EXPLAIN prints can be read back without guessing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from catalog.domain import Column, Table
from governance.domain import NO_OBLIGATIONS, Obligations
from upend.slices import FORMAT

SNAPSHOT = 1
"""Every schema slice is a lake with one snapshot."""

COLUMN_FIELDS = [
    "column_id", "begin_snapshot", "table_id", "column_order", "column_name", "column_type",
    "nulls_allowed", "parent_column", "default_value", "default_value_type",
    "default_value_dialect",
]  # fmt: skip
TABLE_FIELDS = [
    "table_id", "table_uuid", "begin_snapshot", "schema_id", "table_name", "path",
    "path_is_relative",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class HiddenTable:
    """A table of the query under the name that no SQL text can know."""

    name: str
    table: Table
    obligations: Obligations = field(default=NO_OBLIGATIONS)
    shown_in: str = ""
    """The name under which SQL finds its catalog; its own one where this is empty."""

    @property
    def catalog_name(self) -> str:
        """Return the name of the catalog that SQL finds it in."""
        return self.shown_in or self.table.catalog_name

    @property
    def shown_columns(self) -> tuple[Column, ...]:
        """Return the columns that the principal may know of."""
        hidden = self.obligations.hidden_columns
        return tuple(c for c in self.table.top_columns if c.name not in hidden)

    @property
    def column_names(self) -> dict[str, str]:
        """Return the real names of columns by their names in the schema slice."""
        return {hidden_name(c): c.name for c in self.table.top_columns}

    def view(self) -> dict[str, Any]:
        """Return the secured view through which SQL sees the table."""
        masks = {mask.column: mask.expression for mask in self.obligations.masks}
        # Each ends its line, so that a comment in one does not swallow the next.
        filters = [f"({f.predicate}\n)" for f in self.obligations.row_filters]
        return {
            "schema": self.table.schema_name,
            "name": self.table.name,
            "table": self.name,
            "columns": [[c.name, masks.get(c.name)] for c in self.shown_columns],
        } | ({"row_filter": " AND ".join(filters)} if filters else {})


def hidden_name(column: Column) -> str:
    """Return the name of a column in the schema slice; only top-level ones are renamed."""
    return f"c{column.column_id}" if column.parent_id is None else column.name


def schema_slices(tables: Sequence[HiddenTable]) -> list[dict[str, Any]]:
    """Return one schema slice per catalog of `tables`, and snapshot of it that the text names."""
    catalogs: dict[str, list[HiddenTable]] = {}
    for table in tables:
        catalogs.setdefault(table.catalog_name, []).append(table)
    return [_slice(name, members) for name, members in catalogs.items()]


def _slice(catalog: str, tables: Sequence[HiddenTable]) -> dict[str, Any]:
    numbered = list(enumerate(tables, start=1))
    return {
        "format": FORMAT,
        "catalog": catalog,
        "snapshot_id": SNAPSHOT,
        "tables": {
            "ducklake_snapshot": {
                "columns": ["snapshot_id", "snapshot_time", "schema_version", "next_catalog_id",
                            "next_file_id"],
                "rows": [[SNAPSHOT, "2000-01-01 00:00:00+00", 1, 2**40, 2**40]],
            },
            "ducklake_schema_versions": {
                "columns": ["begin_snapshot", "schema_version", "table_id"],
                "rows": [[SNAPSHOT, 1, number] for number, _ in numbered],
            },
            "ducklake_table": {
                "columns": TABLE_FIELDS,
                "rows": [
                    [n, str(UUID(int=n)), SNAPSHOT, 0, t.name, f"{t.name}/", True]
                    for n, t in numbered
                ],
            },
            "ducklake_column": {
                "columns": COLUMN_FIELDS,
                "rows": [_column(n, c) for n, t in numbered for c in t.table.columns],
            },
            "ducklake_table_stats": {
                "columns": ["table_id", "record_count", "next_row_id", "file_size_bytes"],
                "rows": [
                    [n, t.table.record_count, t.table.record_count, t.table.file_size_bytes]
                    for n, t in numbered
                ],
            },
        },
        "inlined": [],
        "files": [],
        "views": [
            t.view() | {"renames": [[old, new] for old, new in t.column_names.items()]}
            for t in tables
        ],
    }  # fmt: skip


def _column(table_id: int, column: Column) -> list[Any]:
    return [
        column.column_id, SNAPSHOT, table_id, column.order, hidden_name(column),
        column.ducklake_type, column.nulls_allowed, column.parent_id, None, "literal", "duckdb",
    ]  # fmt: skip
