"""A result in another format, written batch by batch: memory does not grow with the result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv, types

from catalog.storage import Store
from execution.domain import ResultFormat
from execution.results.arrow_file import open_file
from execution.results.upload import Upload
from execution.results.values import text_of

ROWS_AT_ONCE = 122_880
"""DuckDB's own row group: what readers of Parquet expect."""

BYTES_AT_ONCE = 32 * 2**20
"""Wide rows are written sooner: memory is bounded by this, not by their number."""

AHEAD_BYTES = 8 * 2**20
CONTENT_TYPES = {
    ResultFormat.CSV: "text/csv; charset=utf-8",
    ResultFormat.PARQUET: "application/vnd.apache.parquet",
}

Convert = Callable[[pa.Table], pa.Table]


class Writer(Protocol):
    """What both of pyarrow's writers can do."""

    def write_table(self, table: pa.Table) -> None:
        """Append rows."""

    def close(self) -> None:
        """Write the footer, if the format has one."""


def export(
    store: Store,
    *,
    source: str,
    key: str,
    form: ResultFormat,
    on_progress: Callable[[], None],
) -> int:
    """Write the Arrow file `source` again as `key` in another format; return its size in bytes.

    `on_progress` is called once per group of batches; what it raises ends the export. The new
    object appears when it is complete and not before.
    """
    upload = Upload(store, key, CONTENT_TYPES[form])
    try:
        reader = open_file(store.client, store.bucket, source, ahead_bytes=AHEAD_BYTES)
        convert, writer = _writer(form, upload, reader.schema)
        for table in _tables(reader):
            writer.write_table(convert(table))
            on_progress()
        writer.close()
        return upload.commit()
    except BaseException:
        upload.abort()
        raise


def _writer(form: ResultFormat, upload: Upload, schema: pa.Schema) -> tuple[Convert, Writer]:
    if form is ResultFormat.CSV:
        target = pa.schema([f if _is_bare(f.type) else f.with_type(pa.string()) for f in schema])
        return lambda table: _as_text(table, target), csv.CSVWriter(upload, target)
    kinds = [f if _has_parquet_form(f.type) else f.with_type(pa.string()) for f in schema]
    target = pa.schema(kinds)
    return lambda table: _as_text(table, target), pq.ParquetWriter(
        upload, target, compression="zstd"
    )


def _tables(reader: pa.RecordBatchFileReader) -> Iterator[pa.Table]:
    """Return the rows in groups, each a few batches."""
    batches: list[pa.RecordBatch] = []
    for index in range(reader.num_record_batches):
        batches.append(reader.get_batch(index))
        rows = sum(batch.num_rows for batch in batches)
        if rows >= ROWS_AT_ONCE or sum(batch.nbytes for batch in batches) >= BYTES_AT_ONCE:
            yield pa.Table.from_batches(batches, reader.schema)
            batches = []
    if batches or not reader.num_record_batches:
        yield pa.Table.from_batches(batches, reader.schema)


def _as_text(table: pa.Table, target: pa.Schema) -> pa.Table:
    """Return the table with those columns as DuckDB's text that `target` wants as strings."""
    columns = [
        column if column.type == field.type else text_of(column.combine_chunks())
        for column, field in zip(table.columns, target, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=target)


def _has_parquet_form(kind: pa.DataType) -> bool:
    if types.is_interval(kind) or types.is_union(kind):
        return False
    return all(_has_parquet_form(kind.field(i).type) for i in range(kind.num_fields))


def _is_bare(kind: pa.DataType) -> bool:
    """Tell whether CSV shows the type without quotes: numbers and booleans."""
    kinds = (types.is_boolean, types.is_integer, types.is_floating, types.is_decimal)
    return any(is_it(kind) for is_it in kinds)
