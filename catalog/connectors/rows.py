"""Writes rows that a client library gives, batch by batch, into a Parquet file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from catalog.connectors.domain import Unreadable

ROWS = 5_000
"""So many rows are held at a time."""


@dataclass(frozen=True, slots=True)
class Field:
    """A column: how it is selected, what it becomes, and what makes a value fit, if need be."""

    name: str
    expression: str
    type: pa.DataType
    fit: Callable[[Any], Any] | None = None


def written(
    path: str | pa.NativeFile, fields: Sequence[Field], batches: Iterable[Sequence[Sequence[Any]]]
) -> int:
    """Write the batches to `path`; return how many rows. Raises `Unreadable` for a value."""
    schema = pa.schema([(field.name, field.type) for field in fields])
    total = 0
    with pq.ParquetWriter(path, schema) as writer:
        for rows in batches:
            columns = zip(*rows, strict=True)
            arrays = [_array(field, column) for field, column in zip(fields, columns, strict=True)]
            writer.write_batch(pa.record_batch(arrays, schema=schema))
            total += len(rows)
    return total


def warm() -> None:
    """Have pyarrow load what it loads when it first writes: in a sandbox it no longer could."""
    kinds = (pa.bool_(), pa.int64(), pa.float64(), pa.string(), pa.binary())
    fields = [Field(str(kind), "", kind) for kind in kinds]
    written(pa.BufferOutputStream(), fields, [[[None] * len(fields)]])


def _array(field: Field, values: Sequence[Any]) -> pa.Array:
    fitting = values if field.fit is None else [field.fit(value) for value in values]
    try:
        return pa.array(fitting, field.type)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        why = str(error).partition("\n")[0][:200]
        raise Unreadable(f"A value of {field.name} is no {field.type}: {why}") from error
