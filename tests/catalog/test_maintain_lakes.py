"""Upkeep by the one writer: the same rows in fewer files, and nothing deleted that is read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from accounts.domain import Actor
from audit.models import AuditRecord
from catalog import lake, storage
from catalog import services as catalogs
from catalog.domain import JobKind, JobState, Table
from catalog.lake import retired
from catalog.maintenance import cleanup, holds, leases, planning, schedule
from catalog.maintenance.domain import RunState, StepKind
from catalog.maintenance.leases import Leases
from catalog.maintenance.steps import MaintenanceCancelled
from catalog.models import Catalog, Job, MaintenanceRun
from catalog.services import jobs, maintenance
from governance.services import AccessDenied
from problems import Invalid
from workspaces.models import Workspace

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def events(workspace: Workspace, owner: Actor, settings: Settings) -> Catalog:
    """A lake with a table of twelve small files, forty inlined rows and some deletes."""
    settings.MAINTENANCE_SAFE_SECONDS = 0
    catalog = catalogs.create_catalog(actor=owner, workspace=workspace, name="events")
    catalogs.run_jobs(catalog.id)
    write(
        owner,
        catalog,
        "CREATE TABLE lake.main.t (i INTEGER, s VARCHAR)",
        *(f"INSERT INTO lake.main.t SELECT {n}000 + range, 'x' FROM range(500)" for n in range(12)),
        *(f"INSERT INTO lake.main.t SELECT -{n} - range, 'y' FROM range(10)" for n in range(4)),
        "DELETE FROM lake.main.t WHERE i BETWEEN 3000 AND 3400",
    )
    return catalog


@dataclass(frozen=True)
class Reading:
    """Somebody who reads."""

    needs: Leases

    def leases(self, catalog: Catalog) -> Leases:  # noqa: ARG002 - the protocol's
        return self.needs


def write(actor: Actor, catalog: Catalog, *statements: str) -> None:
    catalogs.enqueue_job(
        actor=actor,
        catalog=catalog,
        kind=JobKind.STATEMENTS,
        arguments={"statements": list(statements)},
    )
    catalogs.run_jobs(catalog.id)
    assert not Job.objects.filter(catalog=catalog).exclude(state=JobState.SUCCEEDED).exists()


def table_of(catalog: Catalog) -> Table:
    found = lake.table(catalog, lake.latest_snapshot(catalog).snapshot_id, "main", "t")
    assert found is not None
    return found


def maintained(actor: Actor, catalog: Catalog, **given: Any) -> MaintenanceRun:
    run = maintenance.start_maintenance(actor=actor, catalog=catalog, **given)
    catalogs.run_jobs(catalog.id)
    run.refresh_from_db()
    return run


def test_it_puts_the_same_rows_into_fewer_files_step_by_step(events: Catalog, owner: Actor) -> None:
    before = table_of(events)
    assert (before.file_count, before.inlined_count) == (12, 40)
    run = maintained(owner, events)
    assert (run.state, run.problem) == (RunState.SUCCEEDED, None)
    kinds = [step["kind"] for step in run.done]
    assert kinds[:3] == ["flush", "merge", "rewrite"]
    assert kinds[-2:] == ["clean_up", "orphans"]
    after = table_of(events)
    assert (after.file_count, after.inlined_count) == (1, 0)
    assert after.record_count == before.record_count
    assert run.bytes_written > 0
    assert run.files_removed >= 11
    assert AuditRecord.objects.filter(event="maintenance.ran").count() == 1
    assert planning.steps(events, thorough=True)[:-1] == ()


def test_it_deletes_no_file_that_someone_may_still_read(
    events: Catalog, owner: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = timezone.now()
    held = set(storage.hosted().keys(events.prefix))
    reader = Reading(Leases(since=began))
    monkeypatch.setattr(leases, "_registered", [*leases._registered, reader])
    maintained(owner, events)
    assert held <= set(storage.hosted().keys(events.prefix))
    waiting = retired.scheduled_count(events)
    assert waiting >= 12
    monkeypatch.setattr(leases, "_registered", leases._registered[:-1])
    run = maintained(owner, events)
    assert run.files_removed == waiting
    assert retired.scheduled_count(events) == 0
    assert set(storage.hosted().keys(events.prefix)) == retired.known_keys(events)


def test_it_deletes_nothing_while_nobody_says_who_reads(
    events: Catalog, owner: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "_registered", [])
    with pytest.raises(leases.NobodyKnowsReaders):
        maintained(owner, events)


def test_it_expires_old_snapshots_but_those_that_are_tagged_or_read(
    events: Catalog, owner: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    maintenance.change_policy(actor=owner, catalog=events, changes={"keep_days": 1})

    reader = Reading(Leases(snapshots=frozenset({5})))
    monkeypatch.setattr(leases, "_registered", [*leases._registered, reader])
    monkeypatch.setattr(holds, "_tagged", [lambda _: frozenset({7})])
    assert StepKind.EXPIRE not in {step.kind for step in planning.steps(events, thorough=True)}
    later = lake.latest_snapshot(events).snapshot_time + timedelta(days=1, minutes=1)
    monkeypatch.setattr(timezone, "now", lambda: later)
    run = maintained(owner, events)
    assert run.problem is None
    kept = {change.snapshot_id for change in lake.snapshots(events, limit=1000)}
    assert {5, 7} <= kept
    assert not kept & {2, 3, 4, 6, 8}
    assert table_of(events).record_count == 12 * 500 - 401 + 40


def test_it_stops_between_steps_and_keeps_what_was_committed(events: Catalog, owner: Actor) -> None:
    rows = table_of(events).record_count
    run = maintenance.start_maintenance(actor=owner, catalog=events)
    with pytest.raises(maintenance.MaintenanceRunning):
        maintenance.start_maintenance(actor=owner, catalog=events)
    jobs.run_next_job(events)
    maintenance.cancel_maintenance(actor=owner, run=run)
    catalogs.run_jobs(events.id)
    run.refresh_from_db()
    assert (run.state, len(run.done)) == (RunState.CANCELLED, 1)
    assert table_of(events).record_count == rows
    with pytest.raises(maintenance.MaintenanceEnded):
        maintenance.cancel_maintenance(actor=owner, run=run)


def test_it_kills_the_writer_of_a_step_that_is_cancelled(
    events: Catalog, owner: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = lake.latest_snapshot(events)
    run = maintenance.start_maintenance(actor=owner, catalog=events, table=table_of(events))
    heard = jobs._heard

    def cancelling(job: Job, progress: dict[str, Any]) -> None:
        heard(job, progress)
        if not MaintenanceRun.objects.filter(cancel_requested_at__isnull=False).exists():
            maintenance.cancel_maintenance(actor=owner, run=run)
            raise MaintenanceCancelled("as the next look would say")

    monkeypatch.setattr(jobs, "_heard", cancelling)
    catalogs.run_jobs(events.id)
    run.refresh_from_db()
    assert (run.state, run.done) == (RunState.CANCELLED, [])
    assert lake.latest_snapshot(events) == before


def test_it_lets_other_writes_go_first_but_not_for_ever(events: Catalog, owner: Actor) -> None:
    maintenance.start_maintenance(actor=owner, catalog=events)
    step = Job.objects.get(kind=JobKind.MAINTAIN)
    catalogs.enqueue_job(
        actor=owner,
        catalog=events,
        kind=JobKind.STATEMENTS,
        arguments={"statements": ["INSERT INTO lake.main.t VALUES (1, 'z')"]},
    )
    first = jobs.run_next_job(events)
    assert first is not None
    assert first.kind == JobKind.STATEMENTS
    Job.objects.filter(id=step.id).update(created_at=timezone.now() - timedelta(minutes=1))
    catalogs.enqueue_job(
        actor=owner, catalog=events, kind=JobKind.STATEMENTS, arguments={"statements": []}
    )
    second = jobs.run_next_job(events)
    assert second is not None
    assert second.id == step.id


def test_it_removes_its_own_orphans_and_nothing_of_others(
    events: Catalog, settings: Settings
) -> None:
    settings.MAINTENANCE_ORPHAN_SECONDS = -60
    store = storage.hosted()
    orphan = f"{events.prefix}main/t/ducklake-01a201f7-c710-7133-b91b-88565f284bf1.parquet"
    others = [f"{events.prefix}main/t/theirs.parquet", f"{events.prefix}notes.txt"]
    for key in (orphan, *others):
        store.put_bytes(key, b"x")
    named = set(store.keys(events.prefix)) - {orphan, *others}
    assert [one.key for one in cleanup.orphans(events)] == [orphan]
    assert cleanup.remove_orphans(events, lambda _: None) == 1
    assert set(store.keys(events.prefix)) == named | set(others)


def test_it_begins_what_is_due_by_itself_and_looks_again_when_the_lake_changes(
    events: Catalog, owner: Actor
) -> None:
    begun = schedule.begin_due(lambda c: maintenance.start_scheduled(catalog=c))
    assert begun == 1
    catalogs.run_jobs(events.id)
    run = MaintenanceRun.objects.get()
    assert (run.state, run.trigger, run.problem) == (RunState.SUCCEEDED, "schedule", None)
    assert table_of(events).file_count < 12
    assert schedule.begin_due(lambda c: maintenance.start_scheduled(catalog=c)) == 0


def test_it_asks_who_may_maintain_and_what_a_policy_can_say(
    events: Catalog, owner: Actor, analyst: Actor
) -> None:
    with pytest.raises(AccessDenied):
        maintenance.start_maintenance(actor=analyst, catalog=events)
    with pytest.raises(AccessDenied):
        maintenance.change_policy(actor=analyst, catalog=events, changes={"enabled": False})
    with pytest.raises(Invalid, match="no keep_days"):
        maintenance.change_policy(
            actor=owner, catalog=events, table=table_of(events), changes={"keep_days": 3}
        )
    with pytest.raises(Invalid, match="no hours"):
        maintenance.change_policy(actor=owner, catalog=events, changes={"quiet_hours": "at night"})


def test_it_sorts_a_table_by_the_columns_that_queries_filter_on(
    events: Catalog, owner: Actor
) -> None:
    before = table_of(events)
    run = maintained(owner, events, table=before, sort_keys=("i",))
    assert (run.state, [step["kind"] for step in run.done]) == (RunState.SUCCEEDED, ["sort"])
    after = table_of(events)
    assert after.record_count == before.record_count
    assert after.table_uuid == before.table_uuid
