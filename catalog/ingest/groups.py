"""Groups of batches: what waits for one catalog becomes one commit, fixed before it is made.

A group is a job with the ids of its batches. Whatever is killed, the same group is committed
again or found by its mark; it is taken apart only once its commit is known never to come.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import structlog
from django.db import transaction
from django.utils import timezone

from accounts.domain import SYSTEM, Actor, PrincipalKind
from audit import services as audit
from audit.domain import Event
from catalog import lake, storage
from catalog.domain import JobKind, JobState
from catalog.ingest import taking, wake
from catalog.ingest.domain import BatchState, IngestMode
from catalog.ingest.taking import Waiting
from catalog.models import Catalog, IngestBatch, IngestPayload, Job
from catalog.writer import kept, process
from catalog.writer.marks import marker
from catalog.writer.process import Outcome
from governance import securables

logger = structlog.get_logger(__name__)

GROUP_BATCHES = 500
GROUP_BYTES = 64 * 2**20
DEATHS_ALLOWED = 3
"""How often a group may take the writer with it before its batches are tried one by one."""
FENCE_SECONDS = 10.0


def form_group(catalog: Catalog) -> Job | None:
    """Make a job of what waits, in the order of acceptance; None where nothing does.

    At most one group of a catalog exists at a time. The caller holds the writer's lock.
    """
    members = _together(taking.waiting(catalog, GROUP_BATCHES))
    return _job_of(catalog, members) if members else None


def _job_of(catalog: Catalog, members: Sequence[Waiting]) -> Job:
    names = {one.requested_by["label"] for one in members}
    job = Job(
        catalog=catalog,
        kind=JobKind.INGEST,
        arguments={
            "batches": [one.id for one in members],
            "changes": any(one.mode != IngestMode.APPEND for one in members),
            "staged": [one.staged_key for one in members if one.staged_key],
        },
        requested_by=members[0].requested_by
        if len(names) == 1
        else {"kind": "system", "id": str(SYSTEM.id), "label": f"{len(names)} senders"},
        created_at=members[0].accepted_at,
    )
    taking.take(job)
    return job


def _together(waiting: Sequence[Waiting]) -> list[Waiting]:
    """Return the first batches that one commit may hold: bounded, and one mode for each table.

    What changes rows must see what came before it, and is decided against what is committed.
    """
    members: list[Waiting] = []
    modes: dict[Any, tuple[str, tuple[str, ...]]] = {}
    size = 0
    for one in waiting:
        way = (one.mode, tuple(one.key_columns))
        size += one.size_bytes
        if members and (size > GROUP_BYTES or one.is_alone or members[0].is_alone):
            break
        if modes.setdefault(one.table_uuid, way) != way:
            break
        members.append(one)
    return members


def carry_out(job: Job, on_progress: Callable[[dict[str, Any]], None]) -> Outcome:
    """Have the catalog's writer commit a group. Raises `StorageUnreachable`."""
    if not lake.ready([job.catalog.metadata_schema]):
        return Outcome(None, {"code": "catalog-gone", "detail": "The catalog was removed."})
    with tempfile.TemporaryDirectory(prefix="upend-rows-") as directory:
        try:
            batches = [_order(*one, Path(directory)) for one in taking.taken(job)]
        except storage.ObjectMissing as problem:
            return Outcome(None, problem.as_dict())
        orders = {
            "batches": batches,
            "is_first": job.attempts == 1,
            "message": _message(batches),
        }
        return kept.run(job, orders, on_progress)


def _order(batch: IngestBatch, payload: IngestPayload, directory: Path) -> dict[str, Any]:
    """Return what the writer must know of one batch; what it holds is in a file."""
    path = directory / str(batch.id)
    if batch.staged_key:
        with path.open("wb") as file:
            file.writelines(storage.hosted().stream(batch.staged_key))
    else:
        path.write_bytes(bytes(payload.content or b""))
    return {
        "id": batch.id,
        "path": str(path),
        "table_uuid": str(batch.table_uuid),
        "mode": batch.mode,
        "format": batch.format,
        "on_error": batch.on_error,
        "keys": batch.key_columns,
        "evolution": batch.evolution,
        "schema_mode": batch.schema_mode,
        "shape": batch.shape,
        "is_checked": batch.is_checked,
        "keeps_raw": batch.keeps_raw,
        "rejected": payload.rejected,
    }


def _message(batches: Sequence[dict[str, Any]]) -> str:
    modes = sorted({str(one["mode"]) for one in batches})
    count = len(batches)
    return f"{' and '.join(modes)} rows, {count} {'batch' if count == 1 else 'batches'}"


@audit.service
def finish_group(*, job: Job, outcome: Outcome) -> None:
    """Record what became of a group; one that may still be committed goes back into the queue."""
    if outcome.problem is None:
        _settle(job, outcome.result or {})
    elif outcome.retryable and not _has_died_enough(job, outcome.problem):
        job.state, job.problem = JobState.QUEUED, outcome.problem
        job.save(update_fields=["state", "problem"])
    else:
        _take_apart(job, outcome.problem)


def _has_died_enough(job: Job, problem: dict[str, Any]) -> bool:
    """Tell whether the group itself seems to kill the writer. A dead storage is waited for."""
    return problem["code"] == "writer-gone" and job.attempts >= DEATHS_ALLOWED


def _settle(job: Job, result: dict[str, Any]) -> None:
    """Note the group's snapshot on its batches, and what was found out about each."""
    ids, keys = job.arguments["batches"], job.arguments.get("staged", [])
    told: dict[str, dict[str, Any]] = result.get("batches", {})
    taking.settle(job, [one for one in ids if str(one) not in told], result.get("snapshot_id"))
    special = IngestBatch.objects.filter(id__in=[int(key) for key in told])
    for batch in special.select_related("catalog__workspace__organization") if told else ():
        _note(batch, told[str(batch.id)], result.get("snapshot_id"))
    if job.arguments.get("changes", True):
        _record_changes(ids)
    transaction.on_commit(lambda: forget(keys), robust=True)
    transaction.on_commit(lambda: wake.tell(ids), robust=True)


def _record_changes(ids: Sequence[int]) -> None:
    changed = IngestBatch.objects.filter(
        id__in=ids, state=BatchState.COMMITTED, mode__in=[IngestMode.DELETE, IngestMode.UPSERT]
    )
    for batch in changed.select_related("catalog__workspace__organization"):
        _record(batch, Event.ROWS_CHANGED, {"rows": batch.row_count})


def _note(batch: IngestBatch, told: dict[str, Any], snapshot_id: int | None) -> None:
    """Keep what the writer found out about one batch."""
    batch.problem = told.get("problem")
    batch.state = BatchState.COMMITTED if batch.problem is None else BatchState.REJECTED
    batch.snapshot_id = snapshot_id if batch.problem is None else None
    batch.row_count = told.get("rows", batch.row_count)
    batch.rejected_count = told.get("rejected", batch.rejected_count)
    batch.errors = told.get("errors", batch.errors)
    batch.finished_at = timezone.now()
    batch.save()
    if batch.problem is not None or told.get("rejected"):
        reason = (batch.problem or {}).get("code", "rows-rejected")
        _record(batch, Event.INGEST_REJECTED, {"rows": batch.rejected_count, "reason": reason})


def _take_apart(job: Job, problem: dict[str, Any]) -> None:
    """Try the batches of a failed group one by one; refuse the one that fails alone.

    First what the dead writer left is ended, so that its commit cannot come late.
    """
    _fence(job.catalog)
    is_there = bool(lake.ready([job.catalog.metadata_schema]))
    mark = marker(str(job.id), 0)
    if is_there and (done := lake.committed_with(job.catalog, mark)) is not None:
        _settle(job, {"snapshot_id": done})
        return
    ids = job.arguments["batches"]
    if len(ids) == 1 or not is_there:
        _settle(job, {"batches": {str(one): {"problem": problem} for one in ids}})
        return
    IngestBatch.objects.filter(id__in=ids).update(
        state=BatchState.WAITING, job_id=None, is_alone=True
    )
    logger.warning("group_taken_apart", job_id=str(job.id), batches=len(ids), **problem)
    job.delete()


def forget(keys: Sequence[str]) -> None:
    """Remove staged bodies; what cannot be removed now is found by the sweep."""
    for key in keys:
        try:
            storage.hosted().delete(key)
        except storage.StorageUnreachable as problem:
            logger.warning("staged_rows_left", key=key, detail=problem.detail)


def _record(batch: IngestBatch, event: Event, after: dict[str, Any]) -> None:
    audit.record(
        actor=sender_of(batch),
        event=event,
        target=target_of(batch.catalog, batch),
        after={"batch": batch.id, "mode": batch.mode, "snapshot_id": batch.snapshot_id} | after,
    )


def sender_of(batch: IngestBatch) -> Actor:
    """Return who sent the rows, as far as the ledger needs it."""
    by = batch.requested_by
    return Actor(
        PrincipalKind(by["kind"]),
        UUID(by["id"]),
        by["label"],
        batch.catalog.workspace.organization_id,
    )


def target_of(catalog: Catalog, batch: IngestBatch) -> audit.Target:
    """Return the table of a batch as the ledger names it, under the name it had then."""
    parent = securables.target(catalog.securable)
    return audit.Target(
        "table",
        f"{catalog.id}/{batch.table_uuid}",
        f"{catalog.name}.{batch.schema_name}.{batch.table_name}",
        parent.organization_id,
        parent.workspace_id,
    )


def _fence(catalog: Catalog) -> None:
    """End every database session of a writer of this catalog's rows, and wait until it is gone."""
    name = kept.session_name(catalog)
    until = time.monotonic() + FENCE_SECONDS
    kept.end(catalog.id)
    with psycopg.connect(**process.database(), autocommit=True) as session:
        while session.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s",
            [name],
        ).fetchall():
            if time.monotonic() > until:
                message = f"a writer of {catalog.name} does not end"
                raise TimeoutError(message)
            time.sleep(0.05)


def has_waiting(catalog: Catalog) -> bool:
    """Tell whether rows wait for a group."""
    return IngestBatch.objects.filter(catalog=catalog, state=BatchState.WAITING).exists()
