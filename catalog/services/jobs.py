"""The queue of each catalog's one writer: rows in order, run under a lock, exactly once.

The row is the queue. A broker message only says "look now"; without one, the sweep finds it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from celery import current_app
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone
from kombu.exceptions import OperationalError

from accounts.domain import SYSTEM, Actor
from audit import services as audit
from audit.domain import Event
from catalog import lake, storage
from catalog.domain import JobKind, JobState, TransferState
from catalog.ingest import groups, wake
from catalog.ingest.domain import BatchState
from catalog.locks import held_alone
from catalog.maintenance import steps
from catalog.maintenance.leases import leases_of
from catalog.models import Catalog, IngestBatch, Job, Transfer
from catalog.services.next_job import begin_next
from catalog.writable import check_writable
from catalog.writer import process
from catalog.writer.marks import marker
from catalog.writer.process import Outcome
from governance import broken, securables
from problems import Conflict, Problem

logger = structlog.get_logger(__name__)

MAX_ATTEMPTS = 3
POLL_SECONDS = 0.2
GATHER_SECONDS = 0.04
"""After rows of several senders the next commit waits for those who were just answered: a commit
costs as much as eight requests, whether it holds one batch or a hundred."""
_followers: dict[JobKind, Callable[[Job], None]] = {}


def follow(kind: JobKind, then: Callable[[Job], None]) -> None:
    """Have `then` called in the transaction that ends a job of `kind`, however it ended."""
    _followers[kind] = then


class CatalogRead(Conflict):
    """Somebody still reads a catalog that is to be removed."""

    code = "catalog-read"
    title = "The catalog is still read"


class IdempotencyConflict(Conflict):
    """The idempotency key was used for something else."""

    code = "idempotency-conflict"
    title = "The idempotency key was used for another request"


@audit.service
def enqueue_job(
    *,
    actor: Actor,
    catalog: Catalog,
    kind: JobKind,
    arguments: dict[str, Any] | None = None,
    idempotency_key: str = "",
) -> Job:
    """Put one write into the catalog's queue. The caller has authorized it.

    The same key again returns the first job. Raises `IdempotencyConflict` where that was
    another request, and `CatalogReadOnly` where the catalog takes no writes.
    """
    given = arguments or {}
    if kind is not JobKind.DROP_CATALOG:
        check_writable(catalog)
    if (earlier := earlier_job(catalog, kind, given, idempotency_key)) is not None:
        return earlier
    try:
        with transaction.atomic():
            job = Job.objects.create(
                catalog=catalog,
                kind=kind,
                arguments=given,
                idempotency_key=idempotency_key,
                requested_by={"kind": actor.kind, "id": str(actor.id), "label": actor.label},
            )
    except IntegrityError:  # the same key arrived twice at once
        if (earlier := earlier_job(catalog, kind, given, idempotency_key)) is not None:
            return earlier
        raise
    audit.record(actor=actor, event=Event.JOB_QUEUED, target=_target(job), after={"kind": kind})
    transaction.on_commit(lambda: _announce(job))
    return job


def earlier_job(
    catalog: Catalog, kind: JobKind, arguments: dict[str, Any], idempotency_key: str
) -> Job | None:
    """Return the job that this key already made. Raises `IdempotencyConflict`."""
    if not idempotency_key:
        return None
    job = Job.objects.filter(catalog=catalog, idempotency_key=idempotency_key).first()
    if job is not None and (job.kind, _essence(job.arguments)) != (kind, _essence(arguments)):
        raise IdempotencyConflict(
            f"The idempotency key {idempotency_key!r} belongs to another write to {catalog.name}.",
            hint="Use a new key for a new request.",
        )
    return job


def publish(catalog_id: UUID) -> bool:
    """Tell a worker to look now; False where the broker is down and the sweep must find it."""
    try:
        current_app.send_task("catalog.run_jobs", args=[str(catalog_id)], retry=False)
    except (OperationalError, OSError) as error:
        logger.warning("broker_down", catalog_id=str(catalog_id), error=type(error).__name__)
        return False
    return True


def run_jobs(catalog_id: UUID, *, linger_seconds: float = 0.0) -> int:
    """Run the catalog's jobs in order until none is left; return how many were run.

    After rows it waits so long for others to come. Does nothing where another worker holds the
    catalog's lock: that one runs them.
    """
    catalog = Catalog.objects.select_related("bucket", "workspace__organization").get(id=catalog_id)
    count, is_over = 0, False
    while not is_over:
        with held_alone(catalog.id) as is_ours, closing(wake.Lingering(catalog_id)) as lingering:
            if not is_ours:
                return count
            wake.looking(catalog_id)
            done, is_over = _run_all(catalog, lingering, linger_seconds)
            count += done
        # What came while the lock was let go was told to nobody else.
        wake.looking(catalog_id)
        is_over = is_over or not _has_more(catalog)
    return count


def _run_all(catalog: Catalog, lingering: wake.Lingering, seconds: float) -> tuple[int, bool]:
    """Run jobs until none comes; return how many, and whether to leave the others to the sweep."""
    count, had_rows = 0, False
    while True:
        job = run_next_job(catalog)
        if job is None:
            if not (had_rows and seconds and lingering.heard(seconds)):
                return count, False
            continue
        count += 1
        if job.state == JobState.QUEUED:
            return count, True  # what failed may be mended in a moment
        had_rows = had_rows or job.kind == JobKind.INGEST
        if len(job.arguments.get("batches", ())) > 1:
            time.sleep(GATHER_SECONDS)


def _has_more(catalog: Catalog) -> bool:
    """Tell whether rows or jobs wait."""
    queued = Job.objects.filter(catalog=catalog, state=JobState.QUEUED)
    return groups.has_waiting(catalog) or queued.exists()


def run_next_job(catalog: Catalog) -> Job | None:
    """Run the oldest unfinished job; None where there is none. The caller holds the lock.

    A job that is already running was left by a worker that died, and is taken up again: its
    commit carries its mark, so what was committed is found and never repeated.
    """
    groups.form_group(catalog)
    job = begin_next(catalog)
    if job is None:
        return None
    if job.kind == JobKind.INGEST:
        groups.finish_group(job=job, outcome=_carried_out(job))
    else:
        finish_job(job=job, outcome=_carried_out(job))
    return job


@audit.service
def finish_job(*, job: Job, outcome: Outcome) -> None:
    """Record how an attempt ended; one that may be mended goes back into the queue."""
    job.result, job.problem = _told(job, outcome.result), outcome.problem
    job.heartbeat_at = timezone.now()
    if outcome.problem is None:
        job.state, job.progress = JobState.SUCCEEDED, {"percent": 100.0}
    elif outcome.retryable and job.attempts < MAX_ATTEMPTS:
        job.state = JobState.QUEUED
    else:
        job.state = JobState.FAILED
    if job.state != JobState.QUEUED:
        job.finished_at = job.heartbeat_at
        is_good = job.state == JobState.SUCCEEDED
        audit.record(
            actor=SYSTEM,
            event=Event.JOB_SUCCEEDED if is_good else Event.JOB_FAILED,
            target=_target(job),
            after=job.result if is_good else job.problem,
        )
        staged = job.arguments.get("staged_key")
        if staged and not _is_kept(job):
            transaction.on_commit(lambda: _forget(staged))
        if job.kind in {
            JobKind.DEFINE,
            JobKind.DROP_CATALOG,
            JobKind.RESTORE_TABLE,
            JobKind.ROLL_BACK,
            JobKind.ROLL_BACK_CATALOG,
            JobKind.STATEMENTS,
        }:
            # Tables and columns may be gone: decisions see that by themselves, owners do not.
            transaction.on_commit(lambda: broken.recheck(job.catalog.workspace), robust=True)
    job.save(
        update_fields=[
            "state",
            "result",
            "kept",
            "problem",
            "progress",
            "heartbeat_at",
            "finished_at",
        ]
    )
    if job.state != JobState.QUEUED and (follow := _followers.get(JobKind(job.kind))):
        follow(job)


def _told(job: Job, result: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return what everybody may read of a result; rows are kept apart."""
    if job.kind == JobKind.SAMPLE_CHANGES and result is not None:
        job.kept = result
        return {"rows": len(result["rows"]), "is_cut": result["is_cut"]}
    if job.kind != JobKind.PREVIEW or result is None:
        return result
    Transfer.objects.filter(preview_job=job).update(preview=result)
    return {"columns": len(result["columns"]), "rows": len(result["rows"])}


def _is_kept(job: Job) -> bool:
    """Tell whether the staged file stays: a transfer is loaded again where loading it failed."""
    if job.kind == JobKind.PREVIEW:
        return True
    if job.state == JobState.SUCCEEDED:
        return False
    transfers = Transfer.objects.filter(job=job)
    return bool(transfers.update(job=None, state=TransferState.STAGED))


def sweep_jobs() -> int:
    """Publish every catalog with work that nobody seems to do; return how many there are.

    That is queued jobs, and running ones whose worker has not been heard of for too long.
    """
    silent = timezone.now() - timedelta(seconds=settings.HEARTBEAT_TIMEOUT_SECONDS)
    waiting = Job.objects.filter(
        Q(state=JobState.QUEUED) | Q(state=JobState.RUNNING, heartbeat_at__lt=silent)
    )
    rows = IngestBatch.objects.filter(state=BatchState.WAITING)
    found = waiting.order_by().values_list("catalog_id")
    catalogs = [key for (key,) in found.union(rows.order_by().values_list("catalog_id"))]
    for catalog_id in catalogs:
        if not publish(catalog_id):
            break
    return len(catalogs)


def wait_for_job(job: Job, timeout_seconds: float = 300.0) -> Job:
    """Return the job once it has ended. Raises `TimeoutError`."""
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline:
        job.refresh_from_db()
        if job.state in {JobState.SUCCEEDED, JobState.FAILED}:
            return job
        time.sleep(POLL_SECONDS)
    message = f"{job} did not end within {timeout_seconds:.0f} s"
    raise TimeoutError(message)


def _announce(job: Job) -> None:
    job.is_published = publish(job.catalog_id)


def _carried_out(job: Job) -> Outcome:
    if job.attempts > MAX_ATTEMPTS and job.kind != JobKind.INGEST:
        return _given_up(job)
    try:
        match job.kind:
            case JobKind.DROP_CATALOG:
                return _dropped(job.catalog)
            case JobKind.INITIALIZE:
                return _initialized(job)
            case JobKind.MAINTAIN:
                return steps.carry_out(job, lambda progress: _heard(job, progress))
            case _:
                run = groups.carry_out if job.kind == JobKind.INGEST else process.run
                return run(job, lambda progress: _heard(job, progress))
    except Problem as problem:
        is_passing = isinstance(problem, storage.StorageUnreachable | CatalogRead)
        return Outcome(None, problem.as_dict(), retryable=is_passing)


def _given_up(job: Job) -> Outcome:
    """Return how a job ends whose writers all died: well, where one had committed it."""
    last = job.arguments.get("last_mark", len(job.arguments.get("statements", [None])) - 1)
    if (done := _committed(job, last)) is not None:
        return Outcome({"snapshot_id": done, "rows": None, "repeated": True})
    problem = {
        "code": "writer-gone",
        "detail": f"The writer died {MAX_ATTEMPTS} times while it did this; it was given up.",
        "hint": "Nothing of it was committed unless the table's history says so.",
    }
    return Outcome(None, problem)


def _committed(job: Job, step: int) -> int | None:
    try:
        return lake.committed_with(job.catalog, marker(str(job.id), step))
    except lake.CatalogNotReady:
        return None


def _initialized(job: Job) -> Outcome:
    storage.hosted().ensure_bucket()  # what is staged goes there, whosever bucket the lake is in
    outcome = process.run(job, lambda progress: _heard(job, progress))
    if outcome.problem is None:
        lake.create_indexes(job.catalog)
    return outcome


def _dropped(catalog: Catalog) -> Outcome:
    """Remove what a dropped catalog held. Files go first: the metadata says what they were.

    In a bucket that is read only they stay, and so do those of an adopted lake: they are their
    owner's. Who reads is asked once more, as everywhere before files are deleted. Raises
    `CatalogRead`.
    """
    if not leases_of(catalog).is_empty:
        raise CatalogRead(
            f"{catalog.name} is read by what was asked before it was dropped.",
            hint="It is removed once that has ended: it is tried again by itself.",
        )
    removed = 0
    if catalog.owns_files and not catalog.bucket.is_read_only:
        removed = storage.of_catalog(catalog).delete_prefix(catalog.prefix)
    catalog.refresh_from_db(fields=["metadata_schema"])  # a followed lake changes it
    lake.drop(catalog)
    Catalog.objects.filter(id=catalog.id).update(removed_at=timezone.now())
    return Outcome({"objects_removed": removed})


def _heard(job: Job, progress: dict[str, Any]) -> None:
    job.progress = job.progress | progress
    Job.objects.filter(id=job.id).update(progress=job.progress, heartbeat_at=timezone.now())


def _forget(staged_key: str) -> None:
    try:
        storage.hosted().delete(staged_key)
    except storage.StorageUnreachable as problem:
        logger.warning("staged_file_left", key=staged_key, detail=problem.detail)


def _essence(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments without what differs between two sendings of the same request."""
    return {k: v for k, v in arguments.items() if k not in {"staged_key", "url"}}


def _target(job: Job) -> audit.Target:
    catalog = securables.target(job.catalog.securable)
    return audit.Target(
        "job", str(job.id), str(job.kind), catalog.organization_id, catalog.workspace_id
    )
