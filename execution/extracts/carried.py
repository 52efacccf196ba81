"""How each of DuckLake's types travels in an extract, exactly: as itself, or as DuckDB's text.

What reads an extract casts its columns to the table's types at any depth, so text comes back as
what it was. ADR 19 has what was measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import duckdb

from catalog.domain import Column, Table
from catalog.lake.types import duckdb_type, quoted

AS_TEXT = frozenset({"int128", "interval", "time_ns", "timestamp_s", "timetz", "uint128"})
"""Types that Arrow or Parquet would round, refuse or reinterpret."""

NOT_CARRIED = frozenset({"geometry", "variant"})
"""Types with no exact form in an extract: a table is no extract where such a column is read."""


def not_carried(table: Table, names: Iterable[str]) -> list[str]:
    """Return those of the named columns that no extract can hold."""
    wanted = set(names)
    return [
        column.name
        for column in table.top_columns
        if column.name in wanted and _leaves(table, column) & NOT_CARRIED
    ]


def select_list(table: Table, names: Iterable[str]) -> str:
    """Return the SELECT list by which the named columns leave the engine, in table order."""
    wanted = set(names)
    return ", ".join(_term(table, c) for c in table.top_columns if c.name in wanted)


def types_of(table: Table, names: Iterable[str]) -> list[tuple[str, str]]:
    """Return the named columns with the DuckDB types in which they travel, in table order."""
    wanted = set(names)
    return [(c.name, _type(table, c)) for c in table.top_columns if c.name in wanted]


def children_of(columns: Sequence[Column], parent: int) -> list[Column]:
    """Return the columns nested directly in another, in order."""
    return [c for c in columns if c.parent_id == parent]


def _term(table: Table, column: Column) -> str:
    name = quoted(column.name)
    if not _leaves(table, column) & AS_TEXT:
        return name
    return f"CAST({name} AS {_type(table, column)}) AS {name}"


def _type(table: Table, column: Column) -> str:
    """Return the type in which a column travels: its own, with text where that is needed."""
    nested = [(c.name, _type(table, c)) for c in children_of(table.columns, column.column_id)]
    if column.ducklake_type.lower() in AS_TEXT:
        return "VARCHAR"
    return duckdb_type(column.ducklake_type, nested)


def _leaves(table: Table, column: Column) -> set[str]:
    nested = children_of(table.columns, column.column_id)
    if not nested:
        return {column.ducklake_type.lower()}
    return set().union(*(_leaves(table, child) for child in nested))


def spelled(kind: str) -> str:
    """Return a DuckDB type in one spelling: with the same quotes and the same short names."""
    return str(duckdb.sqltype(kind))
