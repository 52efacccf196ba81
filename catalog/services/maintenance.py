"""Starts, follows and ends runs of upkeep; each step is planned from how the lake stands then."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.domain import SYSTEM, Actor
from audit import services as audit
from audit.domain import Event
from catalog.domain import JobKind, JobState, Table
from catalog.maintenance import planning
from catalog.maintenance.domain import RunState, Step, StepKind, Trigger
from catalog.maintenance.policies import FIELDS, check
from catalog.models import Catalog, Job, MaintenancePolicy, MaintenanceRun
from catalog.services.jobs import enqueue_job
from catalog.writable import CatalogReadOnly, check_writable
from governance import securables
from governance import services as governance
from governance.domain import Action
from problems import Conflict

MOST_STEPS = 500
"""No run goes on for ever: the schedule begins another."""


class MaintenanceRunning(Conflict):
    """The catalog is being maintained already."""

    code: ClassVar[str] = "maintenance-running"
    title: ClassVar[str] = "The catalog is being maintained"


class MaintenanceEnded(Conflict):
    """The run has ended: there is nothing left to cancel."""

    code: ClassVar[str] = "maintenance-ended"
    title: ClassVar[str] = "The run has ended"


@audit.service
def change_policy(
    *, actor: Actor, catalog: Catalog, table: Table | None = None, changes: dict[str, Any]
) -> MaintenancePolicy:
    """Say how a catalog, or one of its tables, is kept; None takes a word back.

    Raises `AccessDenied`, or `Invalid` for what a policy cannot say.
    """
    _authorize(actor, catalog, table)
    check(changes, of_table=table is not None)
    row, _ = MaintenancePolicy.objects.get_or_create(
        catalog=catalog, table_uuid=table.table_uuid if table else None
    )
    before = {name: getattr(row, name) for name in FIELDS if name in changes}
    for name in before:
        setattr(row, name, changes[name])
    row.save()
    after = {name: getattr(row, name) for name in before}
    _record(actor, Event.MAINTENANCE_CHANGED, catalog, table, before=before, after=after)
    return row


@audit.service
def start_maintenance(
    *,
    actor: Actor,
    catalog: Catalog,
    table: Table | None = None,
    sort_keys: tuple[str, ...] = (),
    kinds: tuple[StepKind, ...] = (),
) -> MaintenanceRun:
    """Begin a run of all that the catalog, or one of its tables, needs now.

    With `kinds`, of those steps alone; with `sort_keys`, the table is written anew in their
    order. Raises `AccessDenied`, `CatalogReadOnly`, or `MaintenanceRunning`.
    """
    _authorize(actor, catalog, table)
    return _begin(actor, catalog, table, Trigger.PERSON, sort_keys=sort_keys, kinds=kinds)


@audit.service
def start_scheduled(*, catalog: Catalog) -> MaintenanceRun | None:
    """Begin a run that the schedule has found due; None where one is under way, or none may be."""
    try:
        check_writable(catalog)
        return _begin(_system_of(catalog), catalog, None, Trigger.SCHEDULE)
    except (CatalogReadOnly, MaintenanceRunning):
        return None


@audit.service
def cancel_maintenance(*, actor: Actor, run: MaintenanceRun) -> MaintenanceRun:
    """Stop a run: at once where a step is under way, and what it committed stays.

    Raises `AccessDenied` or `MaintenanceEnded`.
    """
    table = planning.table_of(run)
    _authorize(actor, run.catalog, table)
    locked = MaintenanceRun.objects.select_for_update().get(id=run.id)
    if not locked.is_active:
        raise MaintenanceEnded(f"It {locked.state}.", hint="Start another one if there is need.")
    locked.cancel_requested_at = timezone.now()
    locked.save(update_fields=["cancel_requested_at"])
    _record(actor, Event.MAINTENANCE_CANCELLED, run.catalog, table, after={"run": str(run.id)})
    return locked


@audit.service
def step_ended(*, job: Job) -> None:
    """Note how a step ended, and queue the next one, or end the run.

    Called in the transaction that ends the job, so that a run is never without either.
    """
    run = (
        MaintenanceRun.objects.select_for_update(of=("self",))
        .select_related("catalog__workspace__organization", "catalog__bucket")
        .get(id=job.arguments["run"])
    )
    if not run.is_active:
        return
    result = job.result or {}
    if job.state == JobState.SUCCEEDED:
        run.done = [*run.done, job.arguments["step"] | {"result": result, "at": _now()}]
        run.bytes_written += int(result.get("bytes_written") or 0)
        run.files_removed += int(result.get("files_removed") or 0)
    if run.cancel_requested_at is not None:
        _end(run, RunState.CANCELLED)
    elif job.state != JobState.SUCCEEDED:
        _end(run, RunState.FAILED, job.problem)
    else:
        _go_on(run)


def resume() -> int:
    """Go on with runs that have no job, as a restored backup may leave them; return how many."""
    waiting = Job.objects.filter(
        kind=JobKind.MAINTAIN, state__in=[JobState.QUEUED, JobState.RUNNING]
    )
    old = timezone.now() - timedelta(minutes=1)
    lost = MaintenanceRun.objects.active().filter(created_at__lt=old)
    count = 0
    for run in lost.exclude(catalog_id__in=waiting.values("catalog_id")):
        with transaction.atomic():
            held = MaintenanceRun.objects.select_for_update().get(id=run.id)
            if held.is_active:
                _go_on(held)
                count += 1
    return count


def _begin(
    actor: Actor,
    catalog: Catalog,
    table: Table | None,
    trigger: Trigger,
    *,
    sort_keys: tuple[str, ...] = (),
    kinds: tuple[StepKind, ...] = (),
) -> MaintenanceRun:
    under_way = MaintenanceRunning(
        f"A run of upkeep on {catalog.name} is under way.",
        hint="Wait until it has ended, or cancel it.",
    )
    if MaintenanceRun.objects.active().filter(catalog=catalog).exists():
        raise under_way
    try:
        with transaction.atomic():
            run = MaintenanceRun.objects.create(
                catalog=catalog,
                table_uuid=table.table_uuid if table else None,
                table_label=f"{table.schema_name}.{table.name}" if table else "",
                trigger=trigger,
                sort_keys=list(sort_keys),
                kinds=list(kinds),
                requested_by={"kind": actor.kind, "id": str(actor.id), "label": actor.label},
            )
    except IntegrityError as error:  # two began at once
        raise under_way from error
    _go_on(run)
    return run


def _go_on(run: MaintenanceRun) -> None:
    """Queue the next step of a run, planned from how the lake stands now; else end it."""
    step = None if len(run.done) >= MOST_STEPS else planning.next_step(run)
    if step is None:
        _end(run, RunState.SUCCEEDED)
        return
    run.state, run.started_at = RunState.RUNNING, run.started_at or timezone.now()
    run.step, run.progress = step.as_dict(), {}
    run.save()
    enqueue_job(
        actor=_system_of(run.catalog),
        catalog=run.catalog,
        kind=JobKind.MAINTAIN,
        arguments={"run": str(run.id), "step": step.as_dict(), "message": _message(step)},
    )


def _end(run: MaintenanceRun, state: RunState, problem: dict[str, Any] | None = None) -> None:
    run.state, run.problem, run.step = state, problem, None
    run.finished_at = timezone.now()
    run.save()
    if not run.done and problem is None and state is RunState.SUCCEEDED:
        return  # nothing was there to do, and nothing is there to record
    _record(
        _system_of(run.catalog),
        Event.MAINTENANCE_RAN,
        run.catalog,
        planning.table_of(run),
        after={
            "run": str(run.id),
            "state": state,
            "trigger": run.trigger,
            "steps": [{"kind": s["kind"], "table": s["table"]} for s in run.done][:100],
            "bytes_written": run.bytes_written,
            "files_removed": run.files_removed,
            "problem": problem,
        },
    )


def _message(step: Step) -> str:
    return f"Upkeep: {step.kind.value.replace('_', ' ')} {step.table}".strip()


def _now() -> str:
    return datetime.isoformat(timezone.now())


def _system_of(catalog: Catalog) -> Actor:
    return replace(SYSTEM, organization_id=catalog.workspace.organization_id)


def _authorize(actor: Actor, catalog: Catalog, table: Table | None) -> None:
    about = catalog.securable
    about = table.securable(about) if table else about
    governance.authorize(actor, Action.TABLE_MAINTAIN, about)


def _record(
    actor: Actor,
    event: Event,
    catalog: Catalog,
    table: Table | None,
    *,
    before: Any = None,
    after: Any = None,
) -> None:
    about = table.securable(catalog.securable) if table else catalog.securable
    audit.record(
        actor=actor, event=event, target=securables.target(about), before=before, after=after
    )
