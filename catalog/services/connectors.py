"""Pulls rows from customers' databases on a schedule, each exactly once up to a watermark.

A run fixes which rows it is about before it reads them, and its commit bears a key of the run's
own: killed at any moment, it is taken up again and commits once. The watermark moves only when
the commit is there.
"""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import structlog
from celery import current_app
from django.db import transaction
from django.utils import timezone
from kombu.exceptions import OperationalError

from accounts import keys
from accounts.domain import SYSTEM, Actor, PrincipalKind
from accounts.selectors import actor_for_service_account, actor_for_user
from audit import services as audit
from audit.domain import Event
from catalog import lake, storage
from catalog.connectors import process
from catalog.connectors.process import Range
from catalog.domain import (
    ConnectorMode,
    ConnectorRunState,
    JobKind,
    JobState,
    UploadFormat,
    UploadMode,
)
from catalog.models import Catalog, Connector, ConnectorRun, Job
from catalog.names import check_schema_name, check_table_name
from catalog.selectors import find_table
from catalog.services import uploads
from catalog.services.jobs import enqueue_job
from catalog.storage.dsn import Dsn, checked_dsn
from catalog.writable import check_writable
from catalog.writer.process import database
from governance import securables
from governance import services as governance
from governance.domain import Action
from problems import Conflict, Invalid, NotFound, Problem

logger = structlog.get_logger(__name__)

MIN_INTERVAL_SECONDS = 60
MAX_INTERVAL_SECONDS = 30 * 24 * 3600
LONGEST_BACKOFF_SECONDS = 6 * 3600
MAX_NAME = 63


class ConnectorNameTaken(Conflict):
    """The catalog has a connector of this name."""

    code = "connector-name-taken"
    title = "The name is taken"


class UnknownConnector(NotFound):
    """There is no such connector, or the actor may not know that there is."""

    code = "unknown-connector"
    title = "There is no such connector"


@audit.service
def create_connector(
    *,
    actor: Actor,
    catalog: Catalog,
    name: str,
    dsn: str,
    source_schema: str,
    source_table: str,
    target_schema: str,
    target_table: str,
    mode: ConnectorMode,
    watermark_column: str,
    interval_seconds: int,
) -> Connector:
    """Register a table to pull from; its first run begins at once.

    Raises `AccessDenied`, `EndpointRefused`, `Invalid`, `InvalidName`, `ConnectorNameTaken` or
    `CatalogReadOnly`.
    """
    governance.authorize(actor, Action.CATALOG_MANAGE, catalog.securable)
    check_writable(catalog)
    check_schema_name(target_schema)
    check_table_name(target_table)
    _check_rights(actor, catalog, target_schema, target_table, mode)
    _check_source(name, source_schema, source_table, mode, watermark_column)
    _check_interval(interval_seconds)
    checked = checked_dsn(dsn)
    if Connector.objects.filter(catalog=catalog, name=name).exists():
        raise ConnectorNameTaken(f"{catalog.name} has a connector {name!r}.", hint="Rename it.")
    found = Connector(
        catalog=catalog,
        name=name,
        source=_shown(checked),
        source_schema=source_schema,
        source_table=source_table,
        target_schema=target_schema,
        target_table=target_table,
        mode=mode,
        watermark_column=watermark_column,
        interval_seconds=interval_seconds,
        user_id=actor.id if actor.kind is PrincipalKind.USER else None,
        service_account_id=actor.id if actor.kind is PrincipalKind.SERVICE_ACCOUNT else None,
    )
    found.sealed_dsn = keys.seal(dsn.encode(), found.binding)
    found.save(force_insert=True)
    _record(actor, Event.CONNECTOR_CREATED, found, _facts(found))
    transaction.on_commit(lambda: publish(found.id))
    return found


@audit.service
def change_connector(
    *,
    actor: Actor,
    connector: Connector,
    interval_seconds: int | None = None,
    is_paused: bool | None = None,
    dsn: str = "",
) -> Connector:
    """Change how often it runs, pause or resume it, or give it another connection string.

    The source stays the same table of the same host and database. Raises as `create_connector`.
    """
    governance.authorize(actor, Action.CATALOG_MANAGE, connector.catalog.securable)
    if interval_seconds is not None:
        _check_interval(interval_seconds)
        connector.interval_seconds = interval_seconds
    if is_paused is not None:
        connector.paused_at = timezone.now() if is_paused else None
        connector.failures = 0
        connector.next_run_at = timezone.now()
    if dsn:
        checked = checked_dsn(dsn)
        if (checked.host, checked.dbname) != (
            connector.source["host"], connector.source["dbname"]
        ):  # fmt: skip
            raise Invalid(
                "A connector stays with its database: its watermark is that one's.",
                hint="Create another connector for another database.",
            )
        connector.source = _shown(checked)
        connector.sealed_dsn = keys.seal(dsn.encode(), connector.binding)
    connector.save()
    _record(actor, Event.CONNECTOR_CHANGED, connector, _facts(connector))
    return connector


@audit.service
def delete_connector(*, actor: Actor, connector: Connector) -> None:
    """Delete a connector with its connection string; the table and its rows stay."""
    governance.authorize(actor, Action.CATALOG_MANAGE, connector.catalog.securable)
    _record(actor, Event.CONNECTOR_DELETED, connector, _facts(connector))
    connector.delete()


@audit.service
def run_connector(*, actor: Actor, connector: Connector) -> Connector:
    """Have it run now, without waiting for its time."""
    governance.authorize(actor, Action.CATALOG_MANAGE, connector.catalog.securable)
    connector.next_run_at = timezone.now()
    connector.save(update_fields=["next_run_at"])
    _record(actor, Event.CONNECTOR_CHANGED, connector, {"run": "now"})
    transaction.on_commit(lambda: publish(connector.id))
    return connector


def visible_connectors(actor: Actor, catalog: Catalog) -> list[Connector]:
    """Return the catalog's connectors, for who manages it."""
    if not governance.decide(actor, Action.CATALOG_MANAGE, catalog.securable).allowed:
        return []
    rows = Connector.objects.filter(catalog=catalog).select_related("user", "service_account")
    return list(rows.prefetch_related("runs"))


def find_connector(actor: Actor, catalog: Catalog, name: str) -> Connector:
    """Return one connector by its name. Raises `UnknownConnector`."""
    for found in visible_connectors(actor, catalog):
        if found.name == name:
            found.catalog = catalog
            return found
    raise UnknownConnector(f"{catalog.name} has no connector {name!r} that you manage.")


def publish(connector_id: uuid.UUID) -> bool:
    """Tell a worker to pull now; False where the broker is down and the next tick must do."""
    try:
        current_app.send_task("catalog.pull", args=[str(connector_id)], retry=False)
    except (OperationalError, OSError) as error:
        logger.warning("broker_down", connector=str(connector_id), error=type(error).__name__)
        return False
    return True


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
    with _alone(connector_id) as is_ours:
        rows = Connector.objects.select_related(
            "catalog__bucket", "catalog__workspace__organization", "user", "service_account"
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
        dsn = checked_dsn(keys.unseal(bytes(connector.sealed_dsn), connector.binding).decode())
        with tempfile.TemporaryDirectory(prefix="upend-connector-") as directory:
            path = Path(directory) / "rows.parquet"
            found = process.pull(dsn, _range(run), path)
            if found.problem:
                _end(actor=SYSTEM, run=run, problem=found.problem)
            elif found.rows == 0 and connector.mode == ConnectorMode.APPEND:
                _end(actor=SYSTEM, run=run, rows=0)
            else:
                # What was read is what is written: taken up again, the run reads as far as this.
                ConnectorRun.objects.filter(id=run.id).update(upto=found.upto)
                run.upto = found.upto
                _queue(run, path)
    except Problem as problem:
        _end(actor=SYSTEM, run=run, problem=f"{problem.detail} {problem.hint}".strip())


def _range(run: ConnectorRun) -> Range:
    connector = run.connector
    is_whole = connector.mode == ConnectorMode.REPLACE
    return Range(
        connector.source_schema,
        connector.source_table,
        "" if is_whole else connector.watermark_column,
        run.after,
        run.upto,
    )


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
        mode = _check_rights(
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
        problem = job.problem or {}
        _end(actor=SYSTEM, run=run, problem=str(problem.get("detail", "It was not written.")))


@audit.service
def _end(*, actor: Actor, run: ConnectorRun, rows: int | None = None, problem: str = "") -> None:
    """End a run; the watermark moves with the commit, and failures wait longer each time."""
    connector, now = run.connector, timezone.now()
    run.rows, run.problem, run.finished_at = rows, problem, now
    run.state = ConnectorRunState.FAILED if problem else ConnectorRunState.SUCCEEDED
    run.save(update_fields=["rows", "problem", "finished_at", "state"])
    if problem:
        connector.failures += 1
    else:
        connector.failures = 0
        connector.watermark = run.upto if run.upto is not None else connector.watermark
    seconds = connector.interval_seconds * 2 ** min(connector.failures, 10)
    most = max(LONGEST_BACKOFF_SECONDS, connector.interval_seconds)
    connector.next_run_at = run.started_at + timedelta(seconds=min(seconds, most))
    Connector.objects.filter(id=connector.id).update(
        failures=connector.failures,
        watermark=connector.watermark,
        next_run_at=connector.next_run_at,
    )
    after = {"run": run.number, "rows": rows, "problem": problem, "state": run.state}
    _record(actor, Event.CONNECTOR_RAN, connector, after)


def _check_rights(
    actor: Actor, catalog: Catalog, schema: str, table: str, mode: ConnectorMode
) -> UploadMode:
    """Return whether a pull makes the table or adds to it. Raises `AccessDenied`."""
    newest = lake.latest_snapshot(catalog).snapshot_id
    if lake.table(catalog, newest, schema, table) is None:
        governance.authorize(actor, Action.TABLE_CREATE, catalog.securable)
        return UploadMode.CREATE
    found = find_table(actor, catalog, newest, schema, table).securable(catalog.securable)
    governance.authorize(actor, Action.TABLE_APPEND, found)
    if mode is ConnectorMode.REPLACE:
        governance.authorize(actor, Action.TABLE_MODIFY, found)
    return UploadMode.APPEND


def _check_source(
    name: str, schema: str, table: str, mode: ConnectorMode, watermark_column: str
) -> None:
    if not name.strip() or uploads.SAFE_NAME.search(name):
        raise Invalid("Give the connector a name.", hint="Of letters, digits, . _ - and spaces.")
    for what, value in (("schema", schema), ("table", table)):
        if not value or len(value.encode()) > MAX_NAME or not value.isprintable():
            raise Invalid(f"{value!r} is not the name of a {what}.")
    if mode is ConnectorMode.APPEND and not watermark_column:
        raise Invalid(
            "To add what is new, name a column that only grows.",
            hint="Such as an identity or updated_at; or choose the mode replace.",
        )
    if len(watermark_column.encode()) > MAX_NAME:
        raise Invalid(f"{watermark_column!r} is not the name of a column.")


def _check_interval(seconds: int) -> None:
    if not MIN_INTERVAL_SECONDS <= seconds <= MAX_INTERVAL_SECONDS:
        raise Invalid(
            f"A connector runs every {MIN_INTERVAL_SECONDS:,} to {MAX_INTERVAL_SECONDS:,} seconds."
        )


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


def _shown(dsn: Dsn) -> dict[str, Any]:
    return {
        "host": dsn.host,
        "port": dsn.port,
        "dbname": dsn.dbname,
        "user": dsn.user,
        "sslmode": dsn.sslmode,
    }


def _facts(connector: Connector) -> dict[str, Any]:
    return {
        "source": connector.source
        | {"table": f"{connector.source_schema}.{connector.source_table}"},
        "target": f"{connector.target_schema}.{connector.target_table}",
        "mode": connector.mode,
        "watermark_column": connector.watermark_column,
        "interval_seconds": connector.interval_seconds,
        "is_paused": connector.paused_at is not None,
    }


def _record(actor: Actor, event: Event, connector: Connector, after: dict[str, Any]) -> None:
    audit.record(
        actor=actor,
        event=event,
        target=securables.target(connector.catalog.securable),
        after={"connector": connector.name} | after,
    )


@contextmanager
def _alone(connector_id: uuid.UUID) -> Iterator[bool]:
    """Hold the connector's lock on a connection of its own; yield whether it was free."""
    key = int.from_bytes(connector_id.bytes[:8], signed=True)
    with psycopg.connect(**database(), autocommit=True) as session:
        found = session.execute("SELECT pg_try_advisory_lock(%s)", [key]).fetchone()
        yield bool(found and found[0])
