"""The Arrow IPC file that every result is: written as batches come, read a page at a time.

The first batches have `ROWS_PER_BATCH` rows each, the later ones some larger number that is the
same for all but the last: a row's batch is known without looking for it, a page near the start
costs little, and the footer of fifty million rows stays small. Source: Arrow columnar format, "IPC
File Format".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from catalog.storage import Store
from execution.engine.domain import ROWS_PER_BATCH
from execution.results.ranges import AHEAD_BYTES, RangedObject
from execution.results.upload import Upload

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SMALL_BATCHES = 64
"""So many batches have `ROWS_PER_BATCH` rows; most results end before the last of them."""

BATCH_BYTES = 2**20
"""About what a later batch holds: the most that a page needs to fetch, once or twice."""

MAX_BATCH_ROWS = 2**16

ARROW_CONTENT_TYPE = "application/vnd.apache.arrow.file"


class ArrowFile:
    """A sink of batches into one object; invisible until `commit`."""

    def __init__(self, store: Store, key: str) -> None:
        self._upload = Upload(store, key, ARROW_CONTENT_TYPE)
        self._writer: pa.RecordBatchFileWriter | None = None
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = 0
        self._batches = 0
        self._bytes = 0
        self._batch_rows = ROWS_PER_BATCH
        self._is_ended = False

    def open(self, schema: pa.Schema) -> None:
        """Begin the file."""
        self._writer = pa.ipc.new_file(self._upload, schema)

    def write(self, batch: pa.RecordBatch) -> None:
        """Take one batch of any size."""
        while batch.num_rows:
            room = self._batch_rows - self._waiting_rows
            head, batch = batch.slice(0, room), batch.slice(room)
            self._waiting.append(head)
            self._waiting_rows += head.num_rows
            if self._waiting_rows == self._batch_rows:
                self._flush()

    def commit(self) -> int:
        """End the file, make it visible, and return its size in bytes."""
        self.end()
        return self._upload.commit()

    def end(self) -> bytes | None:
        """Write the rest; return the whole file where none of it has left yet: it is small then."""
        if self._writer is None:
            message = "a result file was ended before it was opened"
            raise RuntimeError(message)
        if not self._is_ended:
            self._is_ended = True
            self._flush()
            self._writer.close()
        return self._upload.whole

    def abort(self) -> None:
        """Forget the file."""
        self._upload.abort()

    def _flush(self) -> None:
        if self._writer is not None and self._waiting:
            batch = pa.concat_batches(self._waiting)
            self._writer.write_batch(batch)
            self._bytes += batch.nbytes
            self._batches += 1
            if self._batches == SMALL_BATCHES:
                self._batch_rows = later_rows(self._bytes / (SMALL_BATCHES * ROWS_PER_BATCH))
        self._waiting, self._waiting_rows = [], 0


def later_rows(bytes_per_row: float) -> int:
    """Return how many rows a later batch has, where rows were so wide until then."""
    rows = int(BATCH_BYTES / max(bytes_per_row, 1.0))
    return max(ROWS_PER_BATCH, min(MAX_BATCH_ROWS, rows // ROWS_PER_BATCH * ROWS_PER_BATCH))


def open_file(
    client: S3Client, bucket: str, key: str, *, ahead_bytes: int = AHEAD_BYTES
) -> pa.RecordBatchFileReader:
    """Open a result for random access; one ranged read fetches its footer.

    Each later read fetches `ahead_bytes` at least: many for who reads on, few for one page.
    """
    return pa.ipc.open_file(RangedObject(client, bucket, key, ahead_bytes))


def open_bytes(rows: bytes) -> pa.RecordBatchFileReader:
    """Open a result that is at hand."""
    return pa.ipc.open_file(pa.BufferReader(rows))


def read_rows(reader: pa.RecordBatchFileReader, offset: int, limit: int) -> pa.Table:
    """Return up to `limit` rows from `offset`, reading only the batches that hold them."""
    first, start = _batch_of(reader, offset)
    last, _ = _batch_of(reader, offset + limit - 1)
    wanted = range(first, min(last + 1, reader.num_record_batches))
    batches = [reader.get_batch(index) for index in wanted]
    table = pa.Table.from_batches(batches, reader.schema)
    return table.slice(offset - start, limit)


def _batch_of(reader: pa.RecordBatchFileReader, row: int) -> tuple[int, int]:
    """Return the batch that holds a row, and the row that it begins with."""
    small = SMALL_BATCHES * ROWS_PER_BATCH
    if row < small or reader.num_record_batches <= SMALL_BATCHES:
        index = row // ROWS_PER_BATCH
        return index, index * ROWS_PER_BATCH
    rows = reader.get_batch(SMALL_BATCHES).num_rows  # the only later one, or as large as the rest
    index = (row - small) // rows
    return SMALL_BATCHES + index, small + index * rows
