"""Connectors: rows of a real PostgreSQL, pulled once each, whatever is killed and when."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from accounts.domain import Actor
from audit.models import AuditRecord
from catalog import lake
from catalog import services as catalogs
from catalog.connectors import process
from catalog.domain import ConnectorRunState, JobState
from catalog.models import Catalog, Connector, Job
from catalog.services import jobs, pulls
from catalog.writer.process import database
from tests.cast import Cast
from tests.catalog.pulling import CATALOG, count, work
from tests.tcp import relay
from workspaces.models import Membership, Workspace

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "pull-canary-51c2"


@pytest.fixture
def flights(workspace: Workspace, owner: Actor) -> Catalog:
    catalog = catalogs.create_catalog(actor=owner, workspace=workspace, name="flights")
    assert catalogs.run_jobs(catalog.id) == 1
    return catalog


class Source:
    """A customer's database, over TCP."""

    def __init__(self, session: psycopg.Connection, dsn: str) -> None:
        self.session = session
        self.dsn = dsn

    def run(self, text: str) -> None:
        self.session.execute(text)


@pytest.fixture
def source(db: None, monkeypatch: pytest.MonkeyPatch) -> Generator[Source]:
    given = database()
    with psycopg.connect(**given, autocommit=True) as session, relay() as port:
        session.execute("CREATE SCHEMA IF NOT EXISTS customer")
        place = f"127.0.0.1:{port}"
        monkeypatch.setattr(settings, "STORAGE_ALLOWED_HOSTS", frozenset({place}))
        dsn = f"postgresql://{given['user']}:{PASSWORD}@{place}/{given['dbname']}?sslmode=disable"
        yield Source(session, dsn)
        session.execute("DROP SCHEMA customer CASCADE")


def begin(client: Client, source: Source, **given: Any) -> Any:
    body = {
        "name": "orders", "dsn": source.dsn, "source_schema": "customer",
        "source_table": "orders", "target_table": "orders", "watermark_column": "id",
        "interval_seconds": 60,
    } | given  # fmt: skip
    return client.post(f"{CATALOG}/connectors", body, content_type="application/json")


@pytest.fixture
def client(cast: Cast, flights: Catalog, signed_in: Callable[[Actor], Client]) -> Client:
    return signed_in(cast.actor("owner"))


def test_it_pulls_what_is_new_and_nothing_twice(
    flights: Catalog, client: Client, source: Source
) -> None:
    source.run(
        "CREATE TABLE customer.orders AS SELECT n AS id, n * 1.25::numeric(9,2) AS amount,"
        " 'x' || n AS note, now() AS at FROM generate_series(1, 100) n"
    )
    made = begin(client, source)
    assert made.status_code == 201, made.content
    run = work(flights)
    assert (run.state, run.rows, run.upto, run.problem) == ("succeeded", 100, "100", ""), (
        run.problem
    )
    assert count(flights) == 100
    run = work(flights)
    assert (run.number, run.state, run.rows) == (2, "succeeded", 0)
    source.run("INSERT INTO customer.orders VALUES (101, 1, 'y', now()), (102, 2, 'z', now())")
    assert work(flights).rows == 2
    assert count(flights) == 102
    shown = client.get(f"{CATALOG}/connectors/orders").json()
    assert (shown["watermark"], len(shown["runs"]), shown["failures"]) == ("102", 3, 0)
    said = json.dumps([shown, *AuditRecord.objects.values("before", "after")], default=str)
    assert PASSWORD not in said
    sealed = bytes(Connector.objects.get().sealed_dsn)
    assert PASSWORD.encode() not in sealed


@pytest.mark.parametrize("killed", ["while reading", "after queueing", "after committing"])
def test_it_is_taken_up_again_wherever_it_was_killed(
    flights: Catalog, client: Client, source: Source, monkeypatch: pytest.MonkeyPatch, killed: str
) -> None:
    source.run("CREATE TABLE customer.orders AS SELECT n AS id FROM generate_series(1, 50) n")
    begin(client, source)
    connector = Connector.objects.get()

    class Killed(BaseException):
        """Stands for SIGKILL: nothing after it is done."""

    def die(*_: object, **__: object) -> Any:
        raise Killed

    if killed == "while reading":
        with monkeypatch.context() as patch:
            patch.setattr(process, "pull", die)
            with pytest.raises(Killed):
                pulls.pull(connector.id)
    else:
        with monkeypatch.context() as patch:
            queue = "catalog.services.pulls.enqueue_job"
            patch.setattr(queue, lambda **given: die(jobs.enqueue_job(**given)))
            with pytest.raises(Killed):
                pulls.pull(connector.id)
        assert Job.objects.filter(idempotency_key__startswith="connector:").count() == 1
        if killed == "after committing":
            catalogs.run_jobs(flights.id)
        source.run("INSERT INTO customer.orders VALUES (51)")  # of the next run
    run = work(flights)
    assert (run.number, run.state, run.upto) == (1, ConnectorRunState.SUCCEEDED, "50")
    assert count(flights) == 50
    work(flights)
    assert count(flights) == (50 if killed == "while reading" else 51)


def test_it_puts_all_rows_in_place_of_all(flights: Catalog, client: Client, source: Source) -> None:
    source.run("CREATE TABLE customer.orders AS SELECT n AS id FROM generate_series(1, 9) n")
    begin(client, source, mode="replace", watermark_column="")
    work(flights)
    first = lake.table(flights, lake.latest_snapshot(flights).snapshot_id, "main", "orders")
    source.run("DELETE FROM customer.orders WHERE id > 4")
    assert work(flights).state == "succeeded"
    newest = lake.latest_snapshot(flights).snapshot_id
    second = lake.table(flights, newest, "main", "orders")
    assert first is not None
    assert second is not None
    assert (first.record_count, second.record_count) == (9, 4)
    assert first.table_uuid == second.table_uuid  # policies and tags hold on


def test_it_says_what_went_wrong_and_waits_longer_each_time(
    flights: Catalog, client: Client, source: Source, cast: Cast
) -> None:
    begin(client, source, source_table="nothing")
    run = work(flights)
    assert run.state == "failed"
    assert "nothing" in run.problem
    assert PASSWORD not in run.problem
    work(flights)
    connector = Connector.objects.get()
    assert connector.failures == 2
    assert connector.next_run_at > timezone.now() + timedelta(seconds=200)
    assert pulls.pull(connector.id) is None  # it is not due
    source.run("CREATE TABLE customer.nothing AS SELECT 1 AS id")
    answer = client.post(f"{CATALOG}/connectors/orders:run")
    assert answer.status_code == 202
    Membership.objects.filter(user=cast.users["owner"]).update(role="analyst")
    run = work(flights)
    assert run.state == "failed"  # it acts for who created it, as they are now
    assert not Job.objects.filter(state=JobState.SUCCEEDED, kind="create_table").exists()


def test_it_refuses_what_could_not_work_or_must_not(
    flights: Catalog, client: Client, source: Source, cast: Cast, signed_in: Callable[..., Client]
) -> None:
    for given, code in (
        ({"watermark_column": ""}, "invalid"),
        ({"interval_seconds": 1}, "invalid"),
        ({"dsn": "postgresql://a:b@169.254.169.254/x"}, "endpoint-refused"),
        ({"dsn": f"{source.dsn}&sslkey=/etc/key"}, "endpoint-refused"),
        ({"target_table": "a b;"}, "invalid-name"),
    ):
        answer = begin(client, source, **given)
        assert (answer.status_code, answer.json()["code"]) == (422, code), given
        assert PASSWORD not in answer.content.decode()
    assert begin(client, source).status_code == 201
    assert begin(client, source).status_code == 409
    steward = signed_in(cast.actor("steward"))
    assert begin(steward, source, name="other").status_code == 403
    assert steward.get(f"{CATALOG}/connectors").json() == {"results": []}
    assert steward.get(f"{CATALOG}/connectors/orders").status_code == 404
    changed = client.patch(
        f"{CATALOG}/connectors/orders", {"is_paused": True}, content_type="application/json"
    )
    assert changed.json()["paused_at"]
    assert pulls.pull(Connector.objects.get().id) is None
    assert client.delete(f"{CATALOG}/connectors/orders").status_code == 204
    assert not Connector.objects.exists()
