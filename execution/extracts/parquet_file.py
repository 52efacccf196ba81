"""The Parquet file of an extract, written as rows come out of an engine.

Every column bears the field id of the table's own column, nested ones too: by it DuckLake finds
what a file holds. The file appears whole or not at all.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import types
from pyarrow.parquet import encryption

from catalog.domain import Column
from catalog.storage import Store
from console.format import size as size_of
from execution.extracts.carried import children_of
from execution.results.exports import BYTES_AT_ONCE, ROWS_AT_ONCE
from execution.results.upload import Upload
from problems import Problem

CONTENT_TYPE = "application/vnd.apache.parquet"
FIELD_ID = b"PARQUET:field_id"
TAIL_BYTES = 8
SECRET_BYTES = 16
"""As long as the keys that DuckLake makes for its own files."""


class ExtractTooLarge(Problem):
    """The rows that the policy leaves take more than an extract of the workspace may."""

    code: ClassVar[str] = "extract-too-large"
    status: ClassVar[int] = 422
    title: ClassVar[str] = "The extract would be too large"


@dataclass(frozen=True, slots=True)
class Written:
    """What a finished file is. `column_bytes` are compressed bytes by top-level column.

    `secret` opens it; empty where it is not encrypted.
    """

    size_bytes: int
    rows: int
    footer_bytes: int
    column_bytes: dict[str, int]
    secret: bytes = field(default=b"", repr=False)


class _Upload(Upload):
    """An upload that remembers how it ended: a Parquet file ends with its footer's length."""

    last = b""

    def write(self, data: Any) -> int:
        """Take bytes."""
        self.last = (self.last + bytes(memoryview(data).cast("B")[-TAIL_BYTES:]))[-TAIL_BYTES:]
        return super().write(data)

    @property
    def footer_bytes(self) -> int:
        """Return the length of the footer (Parquet format, "File format")."""
        return int.from_bytes(self.last[:4], "little")


class ParquetFile:
    """A sink of batches into one object; invisible until `commit`."""

    def __init__(
        self,
        store: Store,
        key: str,
        *,
        columns: Sequence[Column],
        max_bytes: int,
        is_encrypted: bool = False,
    ) -> None:
        self._secret = os.urandom(SECRET_BYTES) if is_encrypted else b""
        self._upload = _Upload(store, key, CONTENT_TYPE)
        self._columns, self._max_bytes = columns, max_bytes
        self._writer: pq.ParquetWriter | None = None
        self._schema = pa.schema([])
        self._metadata: list[pq.FileMetaData] = []
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = self._waiting_bytes = 0

    def open(self, schema: pa.Schema) -> None:
        """Begin the file."""
        tops = {c.name: c for c in self._columns if c.parent_id is None}
        self._schema = pa.schema([_with_id(f, tops[f.name], self._columns) for f in schema])
        self._writer = pq.ParquetWriter(
            self._upload,
            self._schema,
            compression="zstd",
            metadata_collector=self._metadata,
            encryption_properties=_encryption(self._secret),
        )

    def write(self, batch: pa.RecordBatch) -> None:
        """Take one batch. Raises `ExtractTooLarge`."""
        self._waiting.append(pa.RecordBatch.from_arrays(batch.columns, schema=self._schema))
        self._waiting_rows += batch.num_rows
        self._waiting_bytes += batch.nbytes
        if self._waiting_rows >= ROWS_AT_ONCE or self._waiting_bytes >= BYTES_AT_ONCE:
            self._flush()

    def commit(self) -> Written:
        """End the file, make it visible, and say what it is. Raises `ExtractTooLarge`."""
        if self._writer is None:
            message = "an extract was committed before it was opened"
            raise RuntimeError(message)
        self._flush()
        self._writer.close()
        self._check_size()
        size = self._upload.commit()
        (metadata,) = self._metadata
        return Written(
            size_bytes=size,
            rows=metadata.num_rows,
            footer_bytes=self._upload.footer_bytes,
            column_bytes=_column_bytes(metadata, self._schema),
            secret=self._secret,
        )

    def abort(self) -> None:
        """Forget the file."""
        self._upload.abort()

    def _flush(self) -> None:
        """Write a row group."""
        if self._writer is not None and self._waiting:
            self._writer.write_table(pa.Table.from_batches(self._waiting, self._schema))
            self._check_size()
        self._waiting, self._waiting_rows, self._waiting_bytes = [], 0, 0

    def _check_size(self) -> None:
        if self._upload.size_bytes > self._max_bytes:
            raise too_large(self._max_bytes)


def _encryption(secret: bytes) -> object | None:
    """Return how a file is encrypted as DuckLake's are: one key for all of it, its footer too."""
    return encryption.create_encryption_properties(footer_key=secret) if secret else None


def too_large(max_bytes: int) -> ExtractTooLarge:
    """Return the problem of an extract that outgrew what the workspace allows."""
    return ExtractTooLarge(
        f"What the policy leaves takes more than the {size_of(max_bytes)} that an extract may.",
        hint="Run it on the server, or read fewer columns or rows.",
        max_bytes=max_bytes,
    )


def _with_id(field: pa.Field, column: Column, columns: Sequence[Column]) -> pa.Field:
    """Return the field with the ids of its column and of all that is nested in it."""
    nested = children_of(columns, column.column_id)
    kind = field.type
    if types.is_struct(kind):
        kind = pa.struct(
            [
                _with_id(kind.field(i), child, columns)
                for i, child in zip(range(kind.num_fields), nested, strict=True)
            ]
        )
    elif types.is_map(kind):
        key, item = nested
        kind = pa.map_(
            _with_id(kind.key_field, key, columns), _with_id(kind.item_field, item, columns)
        )
    elif types.is_list(kind):
        (element,) = nested
        kind = pa.list_(_with_id(kind.value_field, element, columns))
    metadata = {FIELD_ID: str(column.column_id).encode()}
    return pa.field(field.name, kind, field.nullable, metadata=metadata)


def _column_bytes(metadata: pq.FileMetaData, schema: pa.Schema) -> dict[str, int]:
    """Return the compressed bytes of each top-level column: Parquet lists their leaves in order."""
    owners = [field.name for field in schema for _ in range(_leaf_count(field.type))]
    found = dict.fromkeys(schema.names, 0)
    for group in range(metadata.num_row_groups):
        row_group = metadata.row_group(group)
        for leaf, name in enumerate(owners):
            found[name] += row_group.column(leaf).total_compressed_size
    return found


def _leaf_count(kind: pa.DataType) -> int:
    if types.is_map(kind):
        return _leaf_count(kind.key_type) + _leaf_count(kind.item_type)
    if not kind.num_fields:
        return 1
    return sum(_leaf_count(kind.field(i).type) for i in range(kind.num_fields))
