"""Arrow values as JSON, exactly: numbers that JSON would round become text, dates read as dates.

DuckDB renders what has no JSON form, so a value reads here as in CSV and in `CAST(… AS VARCHAR)`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

MAX_SAFE_INTEGER = 2**53 - 1
"""Beyond it a JavaScript number is not exact (ECMA-262 §21.1.2.6)."""

Values = list[Any]


def rows_of(batch: pa.RecordBatch) -> list[Values]:
    """Return the batch as rows of JSON-ready values.

    DECIMAL, HUGEINT, and integers beyond 2^53 are strings, as are NaN and the infinities;
    temporal values, BLOB and INTERVAL are DuckDB's text; LIST is an array, STRUCT an object,
    MAP an array of `{"key", "value"}`, UNION the value of its member.
    """
    columns = [values_of(column) for column in batch.columns]
    return [list(row) for row in zip(*columns, strict=True)]


def values_of(array: pa.Array) -> Values:
    """Return one column as JSON-ready values."""
    for matches, render in _RENDERERS:
        if matches(array.type):
            return render(array)
    return _plain(text_of(array))


def text_of(array: pa.Array) -> pa.Array:
    """Return DuckDB's own text of every value, in UTC, null for null."""
    if types.is_string(array.type):
        return array
    with _renderer().cursor() as connection:
        relation = connection.from_arrow(pa.Table.from_arrays([array], names=["value"]))
        text = relation.project("value::VARCHAR AS value").to_arrow_table()["value"]
    return text.combine_chunks()


@functools.cache
def _renderer() -> duckdb.DuckDBPyConnection:
    """Return this process's connection for rendering: no tables, and never any SQL of a tenant."""
    connection = duckdb.connect(":memory:", config={"threads": 1})
    connection.execute("SET GLOBAL TimeZone = 'UTC'")
    return connection


def _plain(array: pa.Array) -> Values:
    values: Values = array.to_pylist()
    return values


def _integers(array: pa.Array) -> Values:
    return [
        value if value is None or -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER else str(value)
        for value in array.to_pylist()
    ]


def _floats(array: pa.Array) -> Values:
    finite = pc.is_finite(array)
    if pc.all(finite, min_count=0).as_py() is not False:
        return _shortest(array)
    return [
        value if ok or value is None else _infinity(value)
        for value, ok in zip(_shortest(array), finite.to_pylist(), strict=True)
    ]


def _shortest(array: pa.Array) -> Values:
    """Return floats whose shortest text is that of their own width: 0.1, not 0.10000000149."""
    if types.is_float32(array.type):
        return [None if v is None else float(v) for v in pc.cast(array, pa.string()).to_pylist()]
    return _plain(array)


def _infinity(value: float) -> str:
    if value != value:  # noqa: PLR0124 - only NaN differs from itself
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _decimals(array: pa.Array) -> Values:
    return [None if value is None else _decimal(value) for value in array.to_pylist()]


def _decimal(value: Decimal) -> str:
    return format(value, "f")


def _lists(array: pa.Array) -> Values:
    members = iter(values_of(array.flatten()))
    lengths = pc.list_value_length(array).to_pylist()
    return [None if n is None else [next(members) for _ in range(n)] for n in lengths]


def _structs(array: pa.Array) -> Values:
    names = [array.type.field(i).name for i in range(array.type.num_fields)]
    columns = [values_of(child) for child in array.flatten()]
    present = array.is_valid().to_pylist()
    rows = zip(*columns, strict=True) if columns else iter([()] * len(array))
    return [
        dict(zip(names, row, strict=True)) if ok else None
        for row, ok in zip(rows, present, strict=True)
    ]


def _maps(array: pa.Array) -> Values:
    entries = array.cast(
        pa.list_(pa.struct([("key", array.type.key_type), ("value", array.type.item_type)]))
    )
    return _lists(entries)


def _unions(array: pa.Array) -> Values:
    """Read each value from its member.

    Copied first: both DuckDB and `type_codes` ignore where a sliced union starts.
    """
    array = array.take(pa.array(range(len(array)), pa.int64()))
    members = [values_of(array.field(i)) for i in range(array.type.num_fields)]
    return [members[code][row] for row, code in enumerate(array.type_codes.to_pylist())]


def _is_list(kind: pa.DataType) -> bool:
    return any(
        is_it(kind) for is_it in (types.is_list, types.is_large_list, types.is_fixed_size_list)
    )


def _is_small(kind: pa.DataType) -> bool:
    return any(is_it(kind) for is_it in (types.is_boolean, types.is_string, types.is_null))


_RENDERERS: list[tuple[Callable[[pa.DataType], bool], Callable[[pa.Array], Values]]] = [
    (_is_small, _plain),
    (types.is_integer, _integers),
    (types.is_floating, _floats),
    (types.is_decimal, _decimals),
    (_is_list, _lists),
    (types.is_struct, _structs),
    (types.is_map, _maps),
    (types.is_union, _unions),
]
