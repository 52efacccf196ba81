"""A worker's part of an extract: claim it, write it in a sandboxed engine, and say how it ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import structlog

from catalog import lake, storage
from catalog.domain import Table
from catalog.models import Catalog
from execution import ledger, masking, slices, stores
from execution.engine.domain import EngineSpec, Outcome, Progress, threads_of_this_machine
from execution.engine.problems import QueryCancelled
from execution.engine.services import run_engine
from execution.extracts import carried, rights
from execution.extracts.parquet_file import ParquetFile, Written, too_large
from execution.models import Extract
from execution.services import extracts
from execution.services.extracts import Writing
from execution.services.running import SCRATCH_PER_MEMORY, URL_GRACE_SECONDS
from execution.weight import SLOT_BYTES
from problems import Problem

BEAT_SECONDS = 0.5
ARROW_PER_PARQUET = 20
"""More Arrow than this times what the file may take would hardly fit: the engine stops there."""
MAX_ROWS = 10**12

log = structlog.get_logger(__name__)

Json = dict[str, Any]


class ExtractFailed(Problem):
    """The file could not be written."""

    code = "extract-failed"
    status = 500
    title = "The extract could not be made"


class NoLongerGranted(Problem):
    """Nobody who waits for the extract may read it any more."""

    code = "extract-refused"
    status = 403
    title = "The extract may not be made"


class _Pulse:
    """Says how far the writing is, and hears when nobody waits any more; seldom."""

    def __init__(self, held: Writing) -> None:
        self._held = held
        self._beaten_at = self._looked_at = time.monotonic()

    def beat(self, progress: Progress) -> None:
        """Take the latest progress."""
        now = time.monotonic()
        if now - self._beaten_at >= BEAT_SECONDS:
            self._beaten_at = now
            extracts.beat(self._held, progress)

    def is_cancelled(self) -> bool:
        """Tell whether to stop."""
        now = time.monotonic()
        if now - self._looked_at < BEAT_SECONDS:
            return False
        self._looked_at = now
        return not extracts.is_wanted(self._held)


def write_extracts(worker: str, *, is_stopping: Callable[[], bool] = lambda: False) -> int:
    """Write the extracts that wait, the longest waiting first; return how many were begun."""
    count = 0
    while not is_stopping() and (held := extracts.claim(worker)) is not None:
        count += 1
        write(held)
    return count


def write(held: Writing) -> None:
    """Write one claimed extract to its end, whichever that is."""
    try:
        _check_rights(held)
        written = _write(held)
    except Problem as raised:
        record = {"tables": [held.extract.job["table"]]}
        extracts.fail(held=held, problem=stores.explained(raised, record))
        return
    except Exception:
        log.exception("extract_failed", extract_id=str(held.extract.id))
        problem = ExtractFailed("Upend met an unexpected error while it wrote the extract.")
        extracts.fail(held=held, problem=problem)
        return
    if not extracts.succeed(held=held, written=written):
        storage.hosted().delete(held.key)


def _check_rights(held: Writing) -> None:
    """Raise `NoLongerGranted` unless someone who waits may read the extract now.

    Raises `QueryCancelled` where nobody waits any more.
    """
    for query in extracts.waiting_for(held.extract.id).select_related(
        "user", "device", "workspace"
    ):
        decisions = rights.decide(ledger.principal_of(query), held.extract, query)
        if all(d.allowed for d in decisions) and rights.shows_the_same(decisions, held.extract):
            return
    if not extracts.is_wanted(held):
        message = "Nobody waits for the extract any more."
        raise QueryCancelled(message)
    message = f"What you may see of {held.extract.table_label} has changed."
    raise NoLongerGranted(message, hint="Run the query again.")


def _write(held: Writing) -> Written:
    """Run the engine on the table's slice and write what it shows."""
    extract, workspace = held.extract, held.extract.workspace
    catalog, table = _table(extract.job["table"])
    file = ParquetFile(
        storage.hosted(),
        held.key,
        columns=table.columns,
        max_bytes=workspace.max_extract_bytes,
        is_encrypted=lake.is_encrypted(catalog),
    )
    pulse = _Pulse(held)
    try:
        with storage.hosted().translated():
            outcome = run_engine(
                _spec(held),
                sink=file,
                seconds=workspace.query_timeout_seconds,
                on_progress=pulse.beat,
                is_cancelled=pulse.is_cancelled,
            )
            _check(outcome, table, extract)
            return file.commit()
    except BaseException:
        file.abort()
        raise


def _table(entry: Json) -> tuple[Catalog, Table]:
    catalog = Catalog.objects.live().filter(id=entry["catalog_id"]).first()
    if catalog is not None:
        uuid = UUID(entry["table_uuid"])
        if table := lake.table_by_uuid(catalog, entry["snapshot_id"], uuid):
            return catalog, table
    message = "The table was dropped."
    raise ExtractFailed(message)


def _spec(held: Writing) -> EngineSpec:
    """Return the engine's job: one table's slice, and the SELECT that makes the extract."""
    extract, workspace = held.extract, held.extract.workspace
    seconds = workspace.query_timeout_seconds + URL_GRACE_SECONDS
    record = {"tables": [extract.job["table"]]}
    threads = threads_of_this_machine()
    address = stores.Sealed(seconds=seconds)
    return EngineSpec(
        sql=extract.job["sql"],
        slices=slices.build(record, locate=address).slices,
        search_path=[],
        max_rows=MAX_ROWS,
        max_bytes=max(workspace.max_extract_bytes, 1) * ARROW_PER_PARQUET,
        memory_bytes=SLOT_BYTES,
        threads=threads,
        temp_bytes=SLOT_BYTES * SCRATCH_PER_MEMORY,
        cpu_seconds=workspace.query_timeout_seconds * threads,
        mask_key=masking.key_for(record, workspace.organization_id),
        copies=address.copies,
    )


def _check(outcome: Outcome, table: Table, extract: Extract) -> None:
    """Refuse what is cut off, and what would come back as another type than the table's."""
    if outcome.truncated:
        raise too_large(extract.workspace.max_extract_bytes)
    wanted = carried.types_of(table, extract.columns)
    for (name, kind), (_, kept) in zip(outcome.columns, wanted, strict=True):
        if carried.spelled(kind) != carried.spelled(kept):
            message = f"A policy makes {name} a {kind}, which is not the column's type."
            raise ExtractFailed(message)
