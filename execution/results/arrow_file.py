"""The Arrow IPC file that every result is: written as batches come, read a page at a time.

Every batch but the last has exactly `ROWS_PER_BATCH` rows, so that a row's batch is known without
looking for it. Source: Arrow columnar format, "IPC File Format".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from execution.engine.domain import ROWS_PER_BATCH
from execution.results.ranges import RangedObject
from execution.results.upload import Upload

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ARROW_CONTENT_TYPE = "application/vnd.apache.arrow.file"


class ArrowFile:
    """A sink of batches into one object; invisible until `commit`."""

    def __init__(self, client: S3Client, bucket: str, key: str) -> None:
        self._upload = Upload(client, bucket, key, ARROW_CONTENT_TYPE)
        self._writer: pa.RecordBatchFileWriter | None = None
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = 0

    def open(self, schema: pa.Schema) -> None:
        """Begin the file."""
        self._writer = pa.ipc.new_file(self._upload, schema)

    def write(self, batch: pa.RecordBatch) -> None:
        """Take one batch of any size."""
        while batch.num_rows:
            room = ROWS_PER_BATCH - self._waiting_rows
            head, batch = batch.slice(0, room), batch.slice(room)
            self._waiting.append(head)
            self._waiting_rows += head.num_rows
            if self._waiting_rows == ROWS_PER_BATCH:
                self._flush()

    def commit(self) -> int:
        """End the file, make it visible, and return its size in bytes."""
        if self._writer is None:
            message = "a result file was committed before it was opened"
            raise RuntimeError(message)
        self._flush()
        self._writer.close()
        return self._upload.commit()

    def abort(self) -> None:
        """Forget the file."""
        self._upload.abort()

    def _flush(self) -> None:
        if self._writer is not None and self._waiting:
            self._writer.write_batch(pa.concat_batches(self._waiting))
        self._waiting, self._waiting_rows = [], 0


def open_file(client: S3Client, bucket: str, key: str) -> pa.RecordBatchFileReader:
    """Open a result for random access; one ranged read fetches its footer."""
    return pa.ipc.open_file(RangedObject(client, bucket, key))


def read_rows(reader: pa.RecordBatchFileReader, offset: int, limit: int) -> pa.Table:
    """Return up to `limit` rows from `offset`, reading only the batches that hold them."""
    first, last = offset // ROWS_PER_BATCH, (offset + limit - 1) // ROWS_PER_BATCH
    wanted = range(first, min(last + 1, reader.num_record_batches))
    batches = [reader.get_batch(index) for index in wanted]
    table = pa.Table.from_batches(batches, reader.schema)
    return table.slice(offset - first * ROWS_PER_BATCH, limit)
