"""Checks rows where they arrive, as far as that is quick, before anything of them is kept."""

from __future__ import annotations

import hashlib
import io
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from accounts.domain import Actor
from audit import services as audit
from audit.domain import Event
from catalog.domain import Table
from catalog.ingest import checking, tables
from catalog.ingest.domain import (
    SHOWN_ERRORS,
    BadRow,
    Evolution,
    IngestMode,
    Mismatch,
    OnError,
    RowFormat,
    SchemaMode,
    Wanted,
    shape_of,
)
from catalog.ingest.groups import target_of
from catalog.ingest.reading import chunks
from catalog.models import IngestBatch
from problems import Invalid

CHECKED_BYTES = 8 * 2**20
"""Bodies up to this are checked before the answer; what is larger, and Parquet, by the writer."""


class RowsRejected(Invalid):
    """The rows do not fit the table; `errors` names the first of them."""

    code = "rows-rejected"
    title = "The rows do not fit the table"


@dataclass(frozen=True, slots=True)
class Sent:
    """Rows as they were sent, and what is to be done with them."""

    body: bytes
    format: RowFormat
    mode: IngestMode = IngestMode.APPEND
    on_error: OnError = OnError.REJECT
    keys: tuple[str, ...] = ()

    def digest(self, table: uuid.UUID) -> str:
        """Return what two sendings of one request have in common."""
        said = repr((str(table), self.format, self.mode, self.on_error, self.keys))
        return hashlib.sha256(said.encode() + self.body).hexdigest()


@dataclass(slots=True)
class Found:
    """What checking found: cells as an Arrow stream (None where nothing was checked)."""

    content: bytes | None = None
    rows: int | None = None
    bad: Sequence[BadRow] = ()
    evolution: Evolution | None = None


def checked(actor: Actor, batch: IngestBatch, table: Table, sent: Sent) -> Found:
    """Check what is quick to check. Raises `RowsRejected`, which the ledger keeps."""
    if sent.format is RowFormat.PARQUET or len(sent.body) > CHECKED_BYTES:
        return Found()
    targets = tables.targets_of(table)
    wanted = Wanted(targets, sent.mode, SchemaMode(batch.schema_mode), sent.keys)
    try:
        found = _read(sent, wanted)
    except Mismatch as wrong:
        raise _refusal(actor, batch, wrong, ()) from None
    if found.bad and sent.on_error is OnError.REJECT:
        total = len(found.bad) + (found.rows or 0)
        mismatch = Mismatch(
            "rows-rejected",
            f"{len(found.bad):,} of {total:,} rows do not fit the table; nothing was taken in.",
            "Correct them and send the batch again, or send it with on_error=quarantine.",
        )
        raise _refusal(actor, batch, mismatch, found.bad)
    batch.is_checked, batch.shape = True, shape_of(targets)
    return found


def _read(sent: Sent, wanted: Wanted) -> Found:
    """Return the cells that fit as one Arrow stream, and what does not."""
    bad: list[BadRow] = []
    cells: list[pa.Table] = []
    evolution = Evolution()
    for chunk in chunks(pa.py_buffer(sent.body), sent.format):
        piece = checking.check(chunk, wanted)
        bad += piece.bad
        evolution.added |= piece.evolution.added
        evolution.widened |= piece.evolution.widened
        cells.append(piece.cells)
    if not cells:
        return Found(content=b"", rows=0)
    table = pa.concat_tables(cells, promote_options="permissive")
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return Found(sink.getvalue(), table.num_rows, bad, evolution)


def _refusal(
    actor: Actor, batch: IngestBatch, mismatch: Mismatch, bad: Sequence[BadRow]
) -> RowsRejected:
    errors = [one.as_dict() for one in bad[:SHOWN_ERRORS]]
    problem = RowsRejected(
        mismatch.detail,
        hint=mismatch.hint,
        reason=mismatch.code,
        rejected_count=len(bad),
        errors=errors,
    )
    problem.denial = audit.Denial(
        actor,
        Event.INGEST_REJECTED,
        target_of(batch.catalog, batch),
        None,
        {"mode": batch.mode, "rows": len(bad), "reason": mismatch.code},
    )
    return problem
