"""What a value of a column weighs in memory and how many there may be: by type and statistics."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from catalog.domain import Column, Table
from catalog.lake import ColumnSummary
from execution.bind import HiddenTable

EXPRESSION_BYTES = 16
STRING_BYTES = 32
INLINE_BYTES = 16
NESTED_BYTES = 64
EXPANDED = 2.2
"""How many bytes of text one compressed byte stands for, as a rule."""

SPELLED_BYTES = 32
STRINGS = frozenset({"BIT", "BLOB", "JSON", "VARCHAR"})
WHOLE = frozenset(
    {"BIGINT", "HUGEINT", "INTEGER", "SMALLINT", "TINYINT", "UBIGINT", "UINTEGER", "USMALLINT"}
)
FIXED_BYTES = {
    "BIGINT": 8, "BOOLEAN": 1, "DATE": 4, "DOUBLE": 8, "FLOAT": 4, "HUGEINT": 16, "INTEGER": 4,
    "INTERVAL": 16, "SMALLINT": 2, "TIME": 8, "TIMESTAMP": 8, "TIMESTAMP WITH TIME ZONE": 8,
    "TIMESTAMP_MS": 8, "TIMESTAMP_NS": 8, "TIMESTAMP_S": 8, "TINYINT": 1, "UBIGINT": 8,
    "UHUGEINT": 16, "UINTEGER": 4, "USMALLINT": 2, "UTINYINT": 1, "UUID": 16,
}  # fmt: skip
DECIMAL_BYTES = ((4, 2), (9, 4), (18, 8), (38, 16))
DECIMAL = re.compile(r"DECIMAL\(([0-9]+),[0-9]+\)")


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """What a column weighs in memory, and about how many values it has, None if unknown.

    `spelled` is how many values its files have room to spell out: in a sorted column runs hide
    how many there are.
    """

    name: str
    width: int
    distinct: int | None = None
    spelled: int = 0


@dataclass(frozen=True, slots=True)
class TableFacts:
    """The columns of a table by their hidden names, and how many of its rows are read."""

    columns: Mapping[str, ColumnFacts]
    rows: int


def facts_of(hidden: HiddenTable, summaries: Mapping[int, ColumnSummary], rows: int) -> TableFacts:
    """Return what is known of a table's columns; `summaries` may be empty."""
    table = hidden.table
    string = _string_bytes(table)
    names = hidden.column_names
    columns = {c.name: _column(table, c, summaries.get(c.column_id), string) for c in table.columns}
    return TableFacts({shown: columns[name] for shown, name in names.items()}, rows)


def _column(
    table: Table, column: Column, summary: ColumnSummary | None, string: int
) -> ColumnFacts:
    kind, size = column.duckdb_type, summary.size_bytes if summary else None
    width = string if kind in STRINGS else width_of(kind)
    if summary is None or not size or not table.record_count:
        return ColumnFacts(column.name, width)
    each = size / table.record_count
    if kind in STRINGS:
        width = INLINE_BYTES + int(EXPANDED * each)
    between = _between(kind, summary)
    if between is not None and between <= 4 * table.record_count:
        return ColumnFacts(column.name, width, between)
    # A dictionary spends as many bits on a value as it takes to tell the values apart.
    told_apart = int(2 ** min(8 * each, 60)) + 1
    return ColumnFacts(column.name, width, told_apart, size // SPELLED_BYTES)


def _string_bytes(table: Table) -> int:
    """Return what a string of the table may weigh, by how much a whole row weighs compressed."""
    strings = sum(column.duckdb_type in STRINGS for column in table.columns)
    row = table.file_size_bytes / max(table.record_count, 1)
    return max(STRING_BYTES, INLINE_BYTES + int(EXPANDED * row / max(strings, 1)))


def _between(kind: str, summary: ColumnSummary) -> int | None:
    """Return how many values lie between the bounds of a whole number or a date, and null."""
    if kind == "BOOLEAN":
        return 3
    if summary.minimum is None or summary.maximum is None:
        return None
    try:
        if kind == "DATE":
            first, last = (date.fromisoformat(t) for t in (summary.minimum, summary.maximum))
            return (last - first).days + 2
        if kind in WHOLE:
            return int(summary.maximum) - int(summary.minimum) + 2
    except ValueError:
        return None
    return None


def width_of(kind: str) -> int:
    """Return the bytes that a value of this DuckDB type takes in a row held in memory."""
    if decimal := DECIMAL.fullmatch(kind):
        digits = int(decimal[1])
        return next(size for most, size in DECIMAL_BYTES if digits <= most)
    if kind.endswith("]") or kind.startswith(("MAP", "STRUCT", "UNION", "VARIANT")):
        return NESTED_BYTES
    return FIXED_BYTES.get(kind, STRING_BYTES)
