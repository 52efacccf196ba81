"""Results in forms for machines: nothing is rounded, whatever the form."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import math
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from upend.errors import UsageError
from upend.result import Result

ROWS_AT_ONCE = 10_000
LARGEST_EXACT_FLOAT = 2**53
NEEDS_QUOTES = frozenset(',"\r\n')


def write_json(result: Result, stream: TextIO) -> None:
    """Write one JSON object with `columns` and `rows`, as the API's result pages have it.

    DECIMAL, HUGEINT and integers beyond 2^53 are strings: a JSON number would be rounded by most
    readers. Times are ISO 8601 text, BLOBs hexadecimal digits.
    """
    head = {
        "query_id": result.query_id,
        "place": result.place,
        "row_count": len(result),
        "truncated": result.facts.truncated,
        "columns": [
            {"name": name, "type": kind}
            for name, kind in zip(result.columns, result.types, strict=True)
        ],
    }
    stream.write(json.dumps(head, ensure_ascii=False)[:-1] + ', "rows": [')
    separator = "\n"
    for part in result.batches(ROWS_AT_ONCE):
        for row in part.fetchall():
            values = [
                json_value(value, kind) for value, kind in zip(row, result.types, strict=True)
            ]
            stream.write(separator + json.dumps(values, ensure_ascii=False))
            separator = ",\n"
    stream.write("\n]}\n")


def json_value(value: Any, kind: str = "") -> Any:
    """Return `value` as JSON can hold it without loss."""
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int):
        is_exact = abs(value) <= LARGEST_EXACT_FLOAT and kind not in {"HUGEINT", "UHUGEINT"}
        return value if is_exact else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {str(json_value(k)): json_value(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(v) for v in value]
    return _text(value)


def _text(value: Any) -> str:
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    return str(value)


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
