"""Results in forms for machines: nothing is rounded, whatever the form."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.parquet as pq
from duckdb.sqltypes import DuckDBPyType

from upend import kinds
from upend.errors import UsageError
from upend.result import Result, quoted

ROWS_AT_ONCE = 10_000
LARGEST_SAFE_INTEGER = 2**53 - 1
HELD_BY_JSON = frozenset(
    {"boolean", "double", "null", "varchar", "tinyint", "smallint", "integer", "bigint"}
    | {"utinyint", "usmallint", "uinteger", "ubigint"}
)
NEEDS_QUOTES = frozenset(',"\r\n')


def write_json(result: Result, stream: TextIO) -> None:
    """Write one JSON object with `columns` and `rows`, as the API's result pages have it.

    DECIMAL, HUGEINT and integers beyond 2^53 are strings: a JSON number would be rounded by most
    readers. So are NaN, the infinities, times, BLOBs and intervals, as DuckDB spells them; MAP is
    an array of `{"key", "value"}`.
    """
    head = {
        "query_id": result.query_id,
        "place": result.place,
        "row_count": len(result),
        "truncated": result.facts.truncated,
        "cached_at": result.facts.cached_at or None,
        "columns": [
            {"name": name, "type": kind}
            for name, kind in zip(result.columns, result.types, strict=True)
        ],
    }
    stream.write(json.dumps(head, ensure_ascii=False)[:-1] + ', "rows": [')
    separator = "\n"
    reader = result.read(
        [json_form(kind, f"c{position}") for position, kind in enumerate(kinds.parse(result.types))]
    )
    while rows := reader.fetchmany(ROWS_AT_ONCE):
        for row in rows:
            values = [_json_value(value) for value in row]
            stream.write(separator + json.dumps(values, ensure_ascii=False))
            separator = ",\n"
    stream.write("\n]}\n")


def json_form(kind: DuckDBPyType | None, value: str) -> str:
    """Return the expression that turns `value` of type `kind` into what JSON holds without loss."""
    if kind is None or kinds.travels_as_text(kind):
        return f"{value}::VARCHAR"
    if kind.id in kinds.NESTED:
        return _nested_form(kind, value)
    if kind.id == "float":  # its own shortest text: 0.1, not 0.10000000149011612
        return f"{value}::VARCHAR::DOUBLE"
    return value if kind.id in HELD_BY_JSON else f"{value}::VARCHAR"


def _nested_form(kind: DuckDBPyType, value: str) -> str:
    children = kinds.children(kind)
    if kind.id == "map":
        key, item = (json_form(child, f"v.{name}") for name, child in children)
        entry = f"struct_pack(key := {key}, value := {item})"
        return f"list_transform(map_entries({value}), lambda v: {entry})"
    if kind.id == "struct":
        members = ", ".join(
            f"{quoted(name)} := {json_form(child, f'{value}.{quoted(name)}')}"
            for name, child in children
        )
        return f"CASE WHEN {value} IS NOT NULL THEN struct_pack({members}) END"
    return f"list_transform({value}, lambda v: {json_form(children[0][1], 'v')})"


def _json_value(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) <= LARGEST_SAFE_INTEGER else str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {name: _json_value(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(member) for member in value]
    return value


def write_csv(result: Result, stream: TextIO) -> None:
    """Write RFC 4180 CSV with a header; values as DuckDB spells them, NULL empty, '' quoted."""
    stream.write(",".join(_field(name) for name in result.columns) + "\n")
    texts = [f"CAST(c{position} AS VARCHAR)" for position in range(len(result.columns))]
    reader = result.read(texts)
    while rows := reader.fetchmany(ROWS_AT_ONCE):
        stream.writelines(",".join(map(_field, row)) + "\n" for row in rows)


def _field(text: str | None) -> str:
    if text is None:
        return ""
    if not text or not NEEDS_QUOTES.isdisjoint(text):
        return '"' + text.replace('"', '""') + '"'
    return text


def write_parquet(result: Result, path: Path) -> None:
    """Write a Parquet file with the Arrow types that DuckDB gives."""
    try:
        pq.write_table(result.arrow(), path, compression="zstd")
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid) as error:
        path.unlink(missing_ok=True)
        raise UsageError(
            f"Parquet cannot hold this result: {error}",
            code="parquet-type",
            hint="CAST the column to VARCHAR in the query, or use --arrow.",
        ) from error


def write_arrow(result: Result, path: Path) -> None:
    """Write an Arrow IPC file (Feather V2)."""
    table = result.arrow()
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table)
