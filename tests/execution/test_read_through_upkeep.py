"""While a lake is compacted, expired and cleaned up, no reader fails and none sees another row.

Ten readers hold what they were given before: queries that wait, one whose engine runs, devices
with manifests, an extract that is still to be written, each at a snapshot of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Any

import duckdb
import pytest
from django.db import connection
from django.utils import timezone
from psycopg import sql
from pytest_django import Settings

from accounts.domain import Actor
from catalog import lake, storage
from catalog import services as catalogs
from catalog.domain import JobKind, JobState
from catalog.lake import retired
from catalog.maintenance import planning
from catalog.maintenance.domain import RunState
from catalog.models import Catalog, Job, MaintenanceRun
from catalog.services import jobs, maintenance
from execution import services
from execution.domain import QueryState, RequestedPlace
from execution.extracts.domain import ExtractState
from execution.models import Extract, Grant, Query
from execution.services import extract_expiry, lifecycle, running
from governance.domain import PolicyKind
from tests.cast import Cast
from tests.execution.governed import Laptop, laptop_of, located, manifest_of, publish
from upend import slices
from workspaces.models import Workspace

pytestmark = pytest.mark.django_db(transaction=True)

SQL = "SELECT count(*)::VARCHAR, sum(i)::VARCHAR, max(s) FROM events.main.t"
COUNT = "SELECT count(*)::VARCHAR FROM events.main.t"
Rows = list[list[Any]]


@dataclass
class Device:
    """A laptop that was handed a manifest and asks for its files again each time that it reads."""

    body: dict[str, Any]

    def read(self) -> Rows:
        found = located(self.body)
        con = slices.connect(memory_bytes=2**29, threads=1)
        try:
            slices.attach(con, found, self.body["query"]["search_path"])
            slices.lock(con, slices.paths(found))
            return [list(row) for row in con.execute(self.body["query"]["sql"]).fetchall()]
        finally:
            con.close()


@dataclass
class Engine:
    """An engine that runs: it holds sealed addresses, and asks nobody any more."""

    con: duckdb.DuckDBPyConnection
    sql: str

    def read(self) -> Rows:
        return [list(row) for row in self.con.execute(self.sql).fetchall()]


@pytest.fixture
def events(workspace: Workspace, owner: Actor, settings: Settings) -> Catalog:
    """A lake whose snapshots are old, with small files, inlined rows, and deletes of both."""
    settings.MAINTENANCE_SAFE_SECONDS = 0
    catalog = catalogs.create_catalog(actor=owner, workspace=workspace, name="events")
    write(
        owner,
        catalog,
        "CREATE TABLE lake.main.t (i INTEGER, s VARCHAR)",
        *(f"INSERT INTO lake.main.t SELECT {n}000 + range, 'x' FROM range(300)" for n in range(6)),
        "DELETE FROM lake.main.t WHERE i BETWEEN 2000 AND 2250",
        *(f"INSERT INTO lake.main.t SELECT -{n} - range, 'y' FROM range(5)" for n in range(3)),
        "DELETE FROM lake.main.t WHERE i = -2",
        *(f"INSERT INTO lake.main.t SELECT {n}000 + range, 'z' FROM range(300)" for n in range(5)),
    )
    age(catalog)
    return catalog


def write(actor: Actor, catalog: Catalog, *statements: str) -> None:
    arguments = {"statements": list(statements)}
    catalogs.enqueue_job(actor=actor, catalog=catalog, kind=JobKind.STATEMENTS, arguments=arguments)
    catalogs.run_jobs(catalog.id)
    assert not Job.objects.exclude(state=JobState.SUCCEEDED).exists()


def age(catalog: Catalog) -> None:
    """Make the history older than any policy keeps."""
    name = sql.Identifier(catalog.metadata_schema, "ducklake_snapshot")
    text = sql.SQL("UPDATE {} SET snapshot_time = snapshot_time - INTERVAL '40 days'").format(name)
    with connection.cursor() as cursor:
        cursor.execute(text)


def ask(actor: Actor, catalog: Catalog, at: int, place: RequestedPlace, text: str) -> Query:
    return services.submit_query(
        actor=actor,
        workspace=catalog.workspace,
        sql=text,
        requested=place,
        snapshots={"events": at},
        reuse=False,
    ).query


@pytest.fixture
def laptop(cast: Cast) -> Laptop:
    return laptop_of(cast, "analyst")


@pytest.fixture
def running_query(events: Catalog, analyst: Actor) -> Iterator[tuple[Query, Engine]]:
    query = ask(analyst, events, 5, RequestedPlace.SERVER, SQL)
    assert lifecycle.claim(query_id=query.id, worker="test") is not None
    query = Query.objects.select_related("workspace").get(id=query.id)
    spec = running.engine_spec(query)
    con = slices.connect(memory_bytes=2**29, threads=1)
    slices.attach(con, spec.slices, [tuple(pair) for pair in spec.search_path])
    slices.lock(con, slices.paths(spec.slices))
    yield query, Engine(con, SQL)
    con.close()


def test_no_reader_fails_while_a_lake_is_maintained(
    events: Catalog,
    owner: Actor,
    analyst: Actor,
    laptop: Laptop,
    running_query: tuple[Query, Engine],
) -> None:
    newest = lake.latest_snapshot(events).snapshot_id
    at_each = (3, 8, 12, newest)
    devices = [
        Device(manifest_of(laptop, ask(laptop.actor, events, at, RequestedPlace.LOCAL, text)))
        for at, text in zip(at_each, (SQL, COUNT, SQL, COUNT), strict=True)
    ]
    waiting = [
        ask(analyst, events, at, RequestedPlace.SERVER, text)
        for at, text in zip((4, 7, 9, 12, newest), (COUNT, SQL, COUNT, SQL, COUNT), strict=True)
    ]
    expected_of_waiting = [read_live(events, query) for query in waiting]
    readers: list[Device | Engine] = [*devices, running_query[1]]
    expected = [reader.read() for reader in readers]
    objects = len(storage.hosted().keys(events.prefix))

    run = maintenance.start_maintenance(actor=owner, catalog=events)
    for turn in count():
        job = jobs.run_next_job(events)
        if job is None:
            break
        assert job.state == JobState.SUCCEEDED, job.problem
        for at in (turn % len(readers), -1):
            assert readers[at].read() == expected[at], job.arguments
    assert [reader.read() for reader in readers] == expected
    run.refresh_from_db()
    assert (run.state, run.problem) == (RunState.SUCCEEDED, None)
    kinds = [step["kind"] for step in run.done]
    assert {"flush", "merge", "rewrite", "expire"} <= set(kinds)
    kept = {change.snapshot_id for change in lake.snapshots(events, limit=100)}
    assert {3, 4, 5, 7, 8, 9, 12, newest} <= kept
    assert not kept & {1, 2, 6, 10, 11}

    for query, rows in zip(waiting, expected_of_waiting, strict=True):
        services.run_query(query.id, worker="test")
        query.refresh_from_db()
        assert query.problem is None, query.problem
        assert services.read_page(actor=analyst, query=query).rows == rows

    Query.objects.exclude(state=QueryState.SUCCEEDED).update(state=QueryState.CANCELLED)
    Grant.objects.all().delete()
    again = maintenance.start_maintenance(actor=owner, catalog=events)
    catalogs.run_jobs(events.id)
    again.refresh_from_db()
    assert again.problem is None
    assert again.files_removed > 0
    assert retired.scheduled_count(events) == 0
    assert len(storage.hosted().keys(events.prefix)) < objects
    assert planning.steps(events, thorough=True)[:-1] == ()
    assert MaintenanceRun.objects.count() == 2
    last = ask(analyst, events, newest, RequestedPlace.SERVER, COUNT) if newest in kept else None
    assert last is None or read_live(events, last) == expected_of_waiting[-1]


def read_live(catalog: Catalog, query: Query) -> Rows:
    """Return what a query's slice holds now."""
    spec = running.engine_spec(Query.objects.select_related("workspace").get(id=query.id))
    con = slices.connect(memory_bytes=2**29, threads=1)
    try:
        slices.attach(con, spec.slices, [tuple(pair) for pair in spec.search_path])
        slices.lock(con, slices.paths(spec.slices))
        return [list(row) for row in con.execute(query.sql).fetchall()]
    finally:
        con.close()


def test_it_reads_and_writes_extracts_while_their_table_is_maintained(
    events: Catalog, owner: Actor, analyst: Actor, laptop: Laptop
) -> None:
    """One device holds an extract of an old snapshot; another's is written after the upkeep."""
    table = lake.table(events, lake.latest_snapshot(events).snapshot_id, "main", "t")
    assert table is not None
    about = table.securable(events.securable)
    (key,) = [column.key for column in about.columns if column.name == "s"]
    compiled = {
        "columns": [{"name": "s", "keys": [key]}],
        "tags": [],
        "mask": {"method": "null"},
        "except": [],
    }
    publish(events.workspace, "mask-s", PolicyKind.MASK, about, compiled)
    held = ask(laptop.actor, events, 5, RequestedPlace.LOCAL, SQL)
    services.write_extracts("test")
    device = Device(manifest_of(laptop, held))
    expected = device.read()
    assert expected[0][-1] is None
    late = ask(laptop.actor, events, 8, RequestedPlace.LOCAL, SQL)
    assert late.state == QueryState.PREPARING
    told = ask(analyst, events, 8, RequestedPlace.SERVER, SQL)
    services.run_query(told.id, worker="test")
    told.refresh_from_db()
    expected_late = services.read_page(actor=analyst, query=told).rows

    maintenance.start_maintenance(actor=owner, catalog=events)
    while (job := jobs.run_next_job(events)) is not None:
        assert job.state == JobState.SUCCEEDED, job.problem
        extract_expiry.expire_extracts()
        assert device.read() == expected, job.arguments
    kept = {change.snapshot_id for change in lake.snapshots(events, limit=100)}
    assert 8 in kept  # 5 is nobody's: its rows are in the extract
    assert Extract.objects.filter(snapshot_id__lte=5).get().state == ExtractState.EXPIRED
    services.write_extracts("test")
    late.refresh_from_db()
    assert late.problem is None, late.problem
    assert Device(manifest_of(laptop, late)).read() == expected_late

    Query.objects.filter(state=QueryState.DELEGATED).update(state=QueryState.CANCELLED)
    Grant.objects.all().delete()
    assert extract_expiry.expire_extracts()["deleted"] == 2


def test_it_removes_a_dropped_catalog_only_once_nobody_reads_it(
    events: Catalog, owner: Actor, analyst: Actor, laptop: Laptop
) -> None:
    events.workspace.drop_grace_days = 0
    events.workspace.save()
    ask(analyst, events, 7, RequestedPlace.SERVER, COUNT)
    manifest_of(laptop, ask(laptop.actor, events, 8, RequestedPlace.LOCAL, SQL))
    objects = storage.hosted().keys(events.prefix)
    catalogs.drop_catalog(actor=owner, catalog=events)
    assert catalogs.remove_dropped() == 0
    Query.objects.all().update(state=QueryState.CANCELLED)
    assert catalogs.remove_dropped() == 0  # an address of the manifest may be a moment old
    [grant] = Grant.objects.all()
    Grant.objects.update(expires_at=timezone.now() - timedelta(hours=1))
    assert catalogs.remove_dropped() == 1

    Grant.objects.update(expires_at=grant.expires_at)  # it came to be meanwhile
    catalogs.run_jobs(events.id)
    removal = Job.objects.get(kind=JobKind.DROP_CATALOG)
    assert removal.state == JobState.QUEUED
    assert removal.problem is not None
    assert removal.problem["code"] == "catalog-read"
    assert storage.hosted().keys(events.prefix) == objects
    Grant.objects.all().delete()
    catalogs.run_jobs(events.id)
    removal.refresh_from_db()
    assert removal.state == JobState.SUCCEEDED
    assert storage.hosted().keys(events.prefix) == []
