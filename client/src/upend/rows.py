"""Sends rows to a table as Arrow, in pieces that may each be sent again and are written once."""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from upend.loading import Target

if TYPE_CHECKING:
    import pyarrow as pa

    from upend.api import Api

ARROW = "application/vnd.apache.arrow.stream"
PIECE_BYTES = 16 * 2**20
"""About what one request holds; the server takes four times that."""
Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one workspace on their way into one table."""

    api: Api
    workspace: str
    target: Target

    def append(
        self, rows: pa.Table, *, ack: str = "committed", on_error: str = "reject", key: str = ""
    ) -> list[Document]:
        """Append rows and return the batches they were taken in by, in their order."""
        key = key or str(uuid.uuid4())
        options: dict[str, str | int] = {"ack": ack, "on_error": on_error}
        return [
            self.api.request(
                "POST",
                self._path,
                params=options,
                content=piece,
                headers={"Content-Type": ARROW, "Idempotency-Key": f"{key}-{number}"},
            ).json()
            for number, piece in enumerate(pieces(rows))
        ]

    @property
    def _path(self) -> str:
        where = f"/api/v1/workspaces/{self.workspace}/catalogs/{self.target.catalog}"
        return f"{where}/tables/{self.target.schema}/{self.target.table}/rows"


def pieces(rows: pa.Table) -> Iterator[bytes]:
    """Yield Arrow streams of some rows each; the same rows always make the same pieces."""
    import pyarrow as pa  # noqa: PLC0415  # the API may be used without it

    size = max(1, rows.num_rows * PIECE_BYTES // max(rows.nbytes, 1))
    for start in range(0, max(rows.num_rows, 1), size):
        sink = io.BytesIO()
        with pa.ipc.new_stream(sink, rows.schema) as writer:
            writer.write_table(rows.slice(start, size))
        yield sink.getvalue()
