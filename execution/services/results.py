"""Reading what came out: pages, whole files and other formats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa
from django.db.models import F
from django.utils import timezone

from accounts.domain import Actor
from audit import services as audit
from audit.domain import Event
from catalog import storage
from execution import ledger
from execution.authorization import ON_SERVER, SERVER, authorize_again
from execution.domain import ExportState, Place, QueryState, ResultFormat
from execution.models import Query, ResultExport
from execution.results import at_hand
from execution.results.arrow_file import open_bytes, open_file, read_rows
from execution.results.exports import export
from execution.results.values import rows_of
from execution.services.expiry import make_room
from execution.services.queue import EXPORT_RESULT, publish
from problems import Conflict, NotFound, Problem

PAGE_ROWS = 1000
URL_SECONDS = 60


class ResultNotReady(Conflict):
    """The query has not ended yet."""

    code = "result-not-ready"
    title = "The result is not there yet"


class NoResult(Conflict):
    """The query ended without rows that the server has."""

    code = "no-result"
    title = "The query has no result here"


class ResultExpired(Problem):
    """The rows were deleted when their time was over."""

    code = "result-expired"
    status = 410
    title = "The result has expired"


class ExportFailed(Problem):
    """The result could not be written in this format."""

    code: ClassVar[str] = "export-failed"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "The result could not be converted"


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows of a result, JSON-ready."""

    columns: list[dict[str, str]]
    rows: list[list[Any]]
    offset: int
    row_count: int
    truncated: bool

    @property
    def next_offset(self) -> int | None:
        """Return where the next page starts, None after the last row."""
        end = self.offset + len(self.rows)
        return end if self.rows and end < self.row_count else None

    def as_dict(self) -> dict[str, Any]:
        """Return the API's JSON."""
        return {
            "columns": self.columns,
            "rows": self.rows,
            "offset": self.offset,
            "next_offset": self.next_offset,
            "row_count": self.row_count,
            "truncated": self.truncated,
        }


@audit.service
def read_page(*, actor: Actor, query: Query, offset: int = 0, limit: int = PAGE_ROWS) -> Page:
    """Return up to `limit` rows (at most 1,000) from `offset`, read from the bucket by range.

    Raises `AccessDenied`, `ResultNotReady`, `NoResult`, `ResultExpired`, `StorageUnreachable`.
    """
    authorize_again(actor, query, ON_SERVER, SERVER)
    check_readable(query)
    limit = min(limit, PAGE_ROWS)
    table = _rows(query, offset, limit)
    _record_read(actor, query, {"format": ResultFormat.JSON, "offset": offset})
    return Page(
        columns=query.columns,
        rows=[row for batch in table.to_batches() for row in rows_of(batch)],
        offset=offset,
        row_count=query.row_count or 0,
        truncated=query.truncated,
    )


def _rows(query: Query, offset: int, limit: int) -> pa.Table:
    rows = at_hand.take(at_hand_name(query, query.attempts))
    if rows is not None:
        return read_rows(open_bytes(rows), offset, limit)
    with storage.hosted().translated():
        reader = open_file(storage.hosted().client, storage.hosted().bucket, query.result_key)
        return read_rows(reader, offset, limit)


def at_hand_name(query: Query, attempt: int) -> str:
    """Return under which name a run's small result is at hand for a moment."""
    return f"{query.id}/{attempt}"


def read_at_hand(*, actor: Actor, query: Query) -> bytes | None:
    """Return the whole result as an Arrow file where it is small and was written a moment ago.

    None where it is only in the bucket. Raises `AccessDenied`, `ResultNotReady`, `NoResult`,
    `ResultExpired`.
    """
    check_readable(query)
    rows = at_hand.take(at_hand_name(query, query.attempts))
    if rows is not None:
        _check_and_record(actor=actor, query=query)
    return rows


def locate(*, actor: Actor, query: Query, form: ResultFormat) -> str | None:
    """Return a URL that reads the whole result as `form` for a minute.

    None while the format is still being written: ask again. Raises `AccessDenied`,
    `ResultNotReady`, `NoResult`, `ResultExpired`, `ExportFailed`.
    """
    if form is ResultFormat.ARROW:
        return _read_whole(actor=actor, query=query)
    _check_rights(actor=actor, query=query)
    check_readable(query)
    row, is_new = _request_export(query, form)
    if is_new:
        publish(EXPORT_RESULT, str(row.id))
    if row.state != ExportState.READY:
        return None
    return _hand_out(actor=actor, query=query, form=form, key=row.key)


def check_readable(query: Query) -> None:
    """Raise the problem that says why the query has no rows to read, if it has none."""
    state = QueryState(query.state)
    if query.place == Place.LOCAL and state in {QueryState.SUCCEEDED, QueryState.DELEGATED}:
        raise NoResult(
            "The query ran on a person's own machine, and its rows never left it.",
            hint="Run it again with the place `server` to keep a result here.",
        )
    if not state.is_final:
        raise ResultNotReady(f"The query is {state}.", hint="Ask for the query until it has ended.")
    if state is not QueryState.SUCCEEDED:
        raise NoResult(f"The query was {state}.", problem=query.problem)
    if not query.result_key or (query.result_expires_at or timezone.now()) <= timezone.now():
        why = "Results are kept for a limited time, and this one's is over."
        if query.evicted_at is not None:
            why = "Newer results of the workspace needed the room that this one took."
        raise ResultExpired(
            why,
            hint="Run the query again; at the same snapshot it gives the same rows.",
        )


def run_export(export_id: int) -> None:
    """Write one requested format; another worker's claim or a missing row ends it silently."""
    row = _claim_export(export_id)
    if row is None:
        return
    held = ResultExport.objects.filter(id=row.id, state=ExportState.RUNNING, attempts=row.attempts)
    try:
        with storage.hosted().translated():
            size = export(
                storage.hosted(),
                source=row.query.result_key,
                key=row.key,
                form=ResultFormat(row.format),
                on_progress=lambda: _beat(held),
            )
    except Problem as problem:
        held.update(state=ExportState.FAILED, problem=problem.as_dict(), finished_at=timezone.now())
        return
    held.update(state=ExportState.READY, size_bytes=size, finished_at=timezone.now())
    make_room(row.query.workspace)


@audit.service
def _check_rights(*, actor: Actor, query: Query) -> None:
    authorize_again(actor, query, ON_SERVER, SERVER)


def _read_whole(*, actor: Actor, query: Query) -> str:
    """Hand out the result as it was written."""
    _check_and_record(actor=actor, query=query)
    return _url(query, ResultFormat.ARROW, query.result_key)


@audit.service
def _check_and_record(*, actor: Actor, query: Query) -> None:
    """Decide about the whole result, and record that it was read, in one transaction."""
    authorize_again(actor, query, ON_SERVER, SERVER)
    check_readable(query)
    _record_read(actor, query, {"format": ResultFormat.ARROW})


@audit.service
def _hand_out(*, actor: Actor, query: Query, form: ResultFormat, key: str) -> str:
    _record_read(actor, query, {"format": form})
    return _url(query, form, key)


def _url(query: Query, form: ResultFormat, key: str) -> str:
    name = f"upend-{str(query.id)[:8]}{'-truncated' if query.truncated else ''}.{form}"
    return storage.hosted().presign(key, valid_seconds=URL_SECONDS, public=True, file_name=name)


def _record_read(actor: Actor, query: Query, what: dict[str, Any]) -> None:
    audit.record(actor=actor, event=Event.RESULT_READ, target=ledger.query(query), after=what)


def _request_export(query: Query, form: ResultFormat) -> tuple[ResultExport, bool]:
    """Return the row of a format, made where it was missing; raise what made it fail."""
    row, is_new = ResultExport.objects.get_or_create(
        query=query, format=form, defaults=_written_for_another(query, form)
    )
    if row.state == ExportState.FAILED:
        row.delete()  # asked for again, it is tried again
        problem = row.problem or {}
        raise ExportFailed(
            str(problem.get("detail", "Writing it did not succeed.")),
            hint="Ask again to try once more, or take another format.",
        )
    return row, is_new and row.state == ExportState.QUEUED


def _written_for_another(query: Query, form: ResultFormat) -> dict[str, Any]:
    """Return the end of an export that a query with the same rows has asked for already."""
    ready = ResultExport.objects.filter(
        query__result_key=query.result_key, format=form, state=ExportState.READY
    ).first()
    if ready is None:
        return {}
    facts = {"size_bytes": ready.size_bytes, "finished_at": ready.finished_at}
    return {"state": ExportState.READY} | facts


def _claim_export(export_id: int) -> ResultExport | None:
    taken = ResultExport.objects.filter(id=export_id, state=ExportState.QUEUED).update(
        state=ExportState.RUNNING, attempts=F("attempts") + 1, heartbeat_at=timezone.now()
    )
    return (
        ResultExport.objects.select_related("query__workspace").get(id=export_id) if taken else None
    )


def _beat(held: Any) -> None:
    """Say that the export goes on; stop it where its row is gone or another's."""
    if not held.update(heartbeat_at=timezone.now()):
        raise NotFound("The export was taken over or its result expired.")
