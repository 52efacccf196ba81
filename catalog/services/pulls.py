"""Carries the runs of connectors out: reads, queues the writing, and sees what came of it.

A run fixes which rows it is about before it reads them, and its commit bears a key of the run's
own: killed at any moment, it is taken up again and commits once. The watermark moves only when
the commit is there.
"""

from __future__ import annotations

import tempfile
import uuid
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts.domain import SYSTEM, Actor
from accounts.selectors import actor_for_service_account, actor_for_user
from audit import services as audit
from audit.domain import Event
from catalog import storage
from catalog.connectors import kept, reading
from catalog.domain import (
    ConnectorMode,
    ConnectorRunState,
    JobKind,
    JobState,
    UploadFormat,
    UploadMode,
)
from catalog.locks import held_alone
from catalog.models import Connector, ConnectorRun, Job
from catalog.services.connectors import (
    authorize_source,
    check_rights,
    publish,
    record_on,
)
from catalog.services.jobs import enqueue_job
from problems import Invalid, Problem

LONGEST_BACKOFF_SECONDS = 6 * 3600
KEPT_RUNS = 1000
"""So many runs are remembered; the ledger has all of them."""


def publish_due() -> int:
    """Publish every connector whose time has come or whose run is not finished."""
    now = timezone.now()
    due = Connector.objects.filter(
        catalog__dropped_at__isnull=True, catalog__archived_at__isnull=True
    )
    waiting = due.filter(paused_at__isnull=True, next_run_at__lte=now) | due.filter(
        runs__finished_at__isnull=True, runs__isnull=False
    )
    return sum(publish(found) for found in waiting.values_list("id", flat=True).distinct())


def pull(connector_id: uuid.UUID) -> ConnectorRun | None:
    """Take one step of a connector: read and queue what is new, or see what came of it.

    None where it is not due, or where another process is at it.
    """
    with held_alone(connector_id) as is_ours:
        rows = Connector.objects.select_related(
            "bucket__workspace",
            "catalog__bucket",
            "catalog__workspace__organization",
            "user",
            "service_account",
        )
        connector = rows.filter(id=connector_id).first() if is_ours else None
        if connector is None:
            return None
        run = connector.runs.filter(finished_at__isnull=True).select_related("job").first()
        if run is None:
            if connector.paused_at or connector.next_run_at > timezone.now():
                return None
            run = _begun(connector)
        run.connector = connector
        if run.job is None:
            _read(run)
        elif run.job.state in {JobState.SUCCEEDED, JobState.FAILED}:
            _settle(run)
        return run


def _begun(connector: Connector) -> ConnectorRun:
    number = (connector.runs.values_list("number", flat=True).first() or 0) + 1
    return ConnectorRun.objects.create(
        connector=connector, number=number, after=connector.watermark
    )


def _read(run: ConnectorRun) -> None:
    """Read the rows of a run into a staged file and queue its writing, or end the run."""
    connector = run.connector
    earlier = Job.objects.filter(catalog=connector.catalog, idempotency_key=_key_of(run)).first()
    if earlier is not None:  # it was queued before we were killed
        _follow(run, earlier)
        return
    try:
        authorize_source(_acting(connector), connector.catalog, connector.bucket)
        with tempfile.TemporaryDirectory(prefix="upend-connector-") as directory:
            Path(directory).chmod(0o711)  # confined readers are users of their own
            found = reading.read(run, Path(directory))
            if found.problem:
                _end(actor=SYSTEM, run=run, problem=found.problem)
            elif found.is_same or (found.rows == 0 and connector.mode == ConnectorMode.APPEND):
                _end(actor=SYSTEM, run=run, rows=0)
            else:
                # What was read is what is written: taken up again, the run reads as far as this.
                ConnectorRun.objects.filter(id=run.id).update(upto=found.upto)
                run.upto = found.upto
                _queue(run, Path(directory) / "rows.parquet")
    except Problem as problem:
        _end(actor=SYSTEM, run=run, problem=f"{problem.detail} {problem.hint}".strip())


def _queue(run: ConnectorRun, path: Path) -> None:
    connector = run.connector
    actor, catalog = _acting(connector), connector.catalog
    staged = f"staging/{catalog.id}/{uuid.uuid4()}.parquet"
    with path.open("rb") as content:
        storage.hosted().put(staged, content)
    arguments: dict[str, Any] = {
        "schema": connector.target_schema,
        "table": connector.target_table,
        "format": UploadFormat.PARQUET.value,
        "file_name": f"{connector.name}, run {run.number}",
        "message": f"connector {connector.name}, run {run.number}",
        "staged_key": staged,
        "url": f"s3://{storage.hosted().bucket}/{staged}",
    }
    try:
        mode = check_rights(
            actor,
            catalog,
            connector.target_schema,
            connector.target_table,
            ConnectorMode(connector.mode),
        )
        if connector.mode == ConnectorMode.REPLACE and mode is UploadMode.APPEND:
            arguments["replace"] = True
        job = enqueue_job(
            actor=actor,
            catalog=catalog,
            kind=JobKind.CREATE_TABLE if mode is UploadMode.CREATE else JobKind.APPEND,
            arguments=arguments,
            idempotency_key=_key_of(run),
        )
    except Problem:
        storage.hosted().delete(staged)
        raise
    _follow(run, job)


def _follow(run: ConnectorRun, job: Job) -> None:
    """Wait for a job from now on; the next step sees what came of it."""
    run.job, run.state = job, ConnectorRunState.LOADING
    run.save(update_fields=["job", "state"])


def _key_of(run: ConnectorRun) -> str:
    return f"connector:{run.connector_id}:{run.number}"


def _settle(run: ConnectorRun) -> None:
    """End a run whose job has ended."""
    job = run.job
    if job is None:
        return
    if job.state == JobState.SUCCEEDED:
        rows = (job.result or {}).get("rows")
        _end(actor=SYSTEM, run=run, rows=rows)
    else:
        told = job.problem or {}
        why = str(told.get("detail", "It was not written."))
        _end(actor=SYSTEM, run=run, problem=why, code=str(told.get("code", "")))


@audit.service
def _end(
    *, actor: Actor, run: ConnectorRun, rows: int | None = None, problem: str = "", code: str = ""
) -> None:
    """End a run; the watermark moves with the commit, and failures wait longer each time."""
    connector = run.connector
    run.rows, run.finished_at = rows, timezone.now()
    run.state = ConnectorRunState.FAILED if problem else ConnectorRunState.SUCCEEDED
    run.problem = problem or run.problem  # of a run that succeeded: which files were left out
    run.save(update_fields=["rows", "problem", "finished_at", "state"])
    if problem:
        connector.failures += 1
        kept.failed(run, code, problem)
    else:
        connector.failures = 0
        connector.watermark = run.upto if run.upto is not None else connector.watermark
        kept.took(run)
    connector.next_run_at = _next(run, code)
    Connector.objects.filter(id=connector.id).update(
        failures=connector.failures,
        watermark=connector.watermark,
        next_run_at=connector.next_run_at,
    )
    connector.runs.filter(number__lte=run.number - KEPT_RUNS).delete()
    after = {"run": run.number, "rows": rows, "problem": run.problem, "state": run.state}
    record_on(actor, Event.CONNECTOR_RAN, connector, after)
    if connector.next_run_at <= run.finished_at:
        transaction.on_commit(lambda: publish(connector.id))


def _next(run: ConnectorRun, code: str) -> datetime:
    """Return when the next run is due: at once where files wait, later after each failure."""
    connector = run.connector
    is_carried = run.state == ConnectorRunState.SUCCEEDED or code in kept.OF_THE_FILE
    if is_carried and (run.is_partial or kept.has_some_alone(connector)):
        return timezone.now()
    seconds = connector.interval_seconds * 2 ** min(connector.failures, 10)
    most = max(LONGEST_BACKOFF_SECONDS, connector.interval_seconds)
    return run.started_at + timedelta(seconds=min(seconds, most))


def _acting(connector: Connector) -> Actor:
    """Return who the connector acts for, as they are now."""
    if connector.user is not None and connector.user.is_active:
        return actor_for_user(connector.user)
    account = connector.service_account
    if account is not None and account.disabled_at is None:
        return actor_for_service_account(account)
    raise Invalid(
        f"Who created the connector {connector.name} is no longer active.",
        hint="Somebody who manages the catalog creates it again.",
    )
