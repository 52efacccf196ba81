"""Small results of ordinary types as Python values, without an engine.

Arrow gives the very values that DuckDB does for these types; to have DuckDB read a hundred rows
takes it 5 ms, of which all but the rows is the same for one.
"""

from __future__ import annotations

import re
from typing import Any

import pyarrow as pa

MOST_ROWS = 10_000
"""Of more rows, DuckDB makes Python values faster than Arrow."""

TYPES = {
    "BIGINT": pa.int64(),
    "BLOB": pa.binary(),
    "BOOLEAN": pa.bool_(),
    "DATE": pa.date32(),
    "DOUBLE": pa.float64(),
    "FLOAT": pa.float32(),
    "INTEGER": pa.int32(),
    "SMALLINT": pa.int16(),
    "TIMESTAMP": pa.timestamp("us"),
    "TINYINT": pa.int8(),
    "UBIGINT": pa.uint64(),
    "UINTEGER": pa.uint32(),
    "USMALLINT": pa.uint16(),
    "UTINYINT": pa.uint8(),
    "VARCHAR": pa.string(),
}
"""How DuckDB spells a type, and how it travels."""
DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)")


def rows(table: pa.Table, types: list[str]) -> list[tuple[Any, ...]] | None:
    """Return all rows; None where DuckDB is needed to tell what the values are."""
    if table.num_columns == 0 or not all(map(_is_plain, types, table.schema.types)):
        return None
    try:
        return list(zip(*(column.to_pylist() for column in table.columns), strict=True))
    except (OverflowError, ValueError):  # a day that Python has no form for: DuckDB gives text
        return None


def _is_plain(kind: str, carried: pa.DataType) -> bool:
    if found := DECIMAL.fullmatch(kind):
        return bool(carried == pa.decimal128(int(found[1]), int(found[2])))
    return kind in TYPES and bool(carried == TYPES[kind])
