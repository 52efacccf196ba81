"""A query goes from its row through an engine to its end, once, whoever dies on the way."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.utils import timezone

from accounts.domain import Actor
from audit.models import AuditRecord
from catalog import storage
from execution import services
from execution.domain import ExportState, QueryState
from execution.engine.domain import Outcome, Progress
from execution.models import Query, ResultExport
from execution.services import lifecycle
from governance.services import AccessDenied
from tests.execution.rows import make_query
from workspaces.models import Workspace

STALE = timedelta(seconds=settings.HEARTBEAT_TIMEOUT_SECONDS + 1)
OUTCOME = Outcome((("one", "INTEGER"),), 1, 4, False, 0, 0.1)


def events_of(query: Query) -> list[str]:
    records = AuditRecord.objects.filter(target_kind="query", target_id=str(query.id))
    return list(records.order_by("id").values_list("event", flat=True))


def run(query: Query) -> Query:
    services.run_query(query.id, worker="test")
    query.refresh_from_db()
    return query


def abandon(query: Query) -> None:
    """Leave the query as a worker that was killed leaves it."""
    assert lifecycle.claim(query_id=query.id, worker="killed")
    Query.objects.filter(id=query.id).update(heartbeat_at=timezone.now() - STALE)


def test_it_runs_a_query_and_keeps_its_result(workspace: Workspace, analyst: Actor) -> None:
    query = run(make_query(workspace, analyst, "SELECT range AS i FROM range(5000)"))
    assert query.state == QueryState.SUCCEEDED
    assert query.columns == [{"name": "i", "type": "BIGINT"}]
    assert (query.row_count, query.truncated, query.attempts) == (5000, False, 1)
    assert query.result_expires_at is not None
    assert query.result_bytes == storage.hosted().size(query.result_key)
    assert events_of(query) == ["query.started", "query.succeeded"]


def test_it_keeps_the_problem_of_a_failed_query_and_no_object(
    workspace: Workspace, analyst: Actor
) -> None:
    query = run(make_query(workspace, analyst, "SELECT 'tom'::INTEGER"))
    assert query.state == QueryState.FAILED
    assert query.problem is not None
    assert query.problem["code"] == "query-failed"
    assert "tom" not in str(query.problem)
    assert events_of(query) == ["query.started", "query.failed"]
    with pytest.raises(storage.ObjectMissing):
        storage.hosted().size(f"results/{workspace.id}/{query.id}.arrow")


def test_it_keeps_no_more_than_the_workspace_allows(workspace: Workspace, analyst: Actor) -> None:
    workspace.max_result_rows = 10
    workspace.save()
    query = run(make_query(workspace, analyst, "SELECT range FROM range(1000)"))
    assert (query.row_count, query.truncated) == (10, True)


def test_it_gives_a_query_to_one_worker_only(workspace: Workspace, analyst: Actor) -> None:
    query = make_query(workspace, analyst)
    assert lifecycle.claim(query_id=query.id, worker="first") is not None
    assert lifecycle.claim(query_id=query.id, worker="second") is None
    services.run_query(query.id, worker="third")
    query.refresh_from_db()
    assert (query.state, query.worker) == (QueryState.RUNNING, "first")


@pytest.mark.django_db(transaction=True)
def test_it_gives_a_query_to_one_of_many_racing_workers(
    workspace: Workspace, analyst: Actor
) -> None:
    query = make_query(workspace, analyst)
    claims: list[lifecycle.Claim | None] = []
    barrier = threading.Barrier(8)

    def race() -> None:
        barrier.wait()
        claims.append(lifecycle.claim(query_id=query.id, worker="racer"))
        connection.close()

    racers = [threading.Thread(target=race) for _ in range(8)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert len([c for c in claims if c is not None]) == 1


def test_it_cancels_a_waiting_query_at_once(workspace: Workspace, analyst: Actor) -> None:
    query = services.cancel_query(actor=analyst, query=make_query(workspace, analyst))
    assert query.state == QueryState.CANCELLED
    assert lifecycle.claim(query_id=query.id, worker="late") is None
    with pytest.raises(lifecycle.AlreadyOver):
        services.cancel_query(actor=analyst, query=query)


def test_it_cancels_a_running_query(
    workspace: Workspace, analyst: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = make_query(workspace, analyst, "SELECT count(*) FROM range(1000000000000)")
    beat = lifecycle.heartbeat

    def cancel_at_first_beat(held: lifecycle.Claim, progress: Progress) -> bool:
        if not Query.objects.filter(id=query.id, cancel_requested_at__isnull=False).exists():
            services.cancel_query(actor=analyst, query=query)
        return beat(held, progress)

    monkeypatch.setattr(lifecycle, "heartbeat", cancel_at_first_beat)
    run(query)
    assert query.state == QueryState.CANCELLED
    assert events_of(query) == ["query.started", "query.cancelled", "query.cancelled"]


def test_it_lets_only_the_asker_and_managers_cancel(
    workspace: Workspace, analyst: Actor, agent: Actor, owner: Actor
) -> None:
    with pytest.raises(AccessDenied):
        services.cancel_query(actor=agent, query=make_query(workspace, analyst))
    query = services.cancel_query(actor=owner, query=make_query(workspace, analyst))
    assert query.state == QueryState.CANCELLED


def test_it_retries_the_query_of_a_dead_worker_once_then_says_so(
    workspace: Workspace, analyst: Actor
) -> None:
    query = make_query(workspace, analyst)
    abandon(query)
    assert services.sweep()["recovered"] == 1
    query.refresh_from_db()
    assert (query.state, query.attempts) == (QueryState.QUEUED, 1)
    abandon(query)
    assert services.sweep()["recovered"] == 1
    query.refresh_from_db()
    assert query.state == QueryState.FAILED
    assert query.problem is not None
    assert query.problem["code"] == "worker-gone"
    assert events_of(query) == [
        "query.started",
        "query.retried",
        "query.started",
        "query.failed",
    ]


def test_it_leaves_a_living_worker_alone(workspace: Workspace, analyst: Actor) -> None:
    query = make_query(workspace, analyst)
    held = lifecycle.claim(query_id=query.id, worker="alive")
    assert held is not None
    assert lifecycle.heartbeat(held, Progress())
    assert services.sweep()["recovered"] == 0


def test_it_lets_a_worker_that_was_given_up_change_nothing(
    workspace: Workspace, analyst: Actor
) -> None:
    query = make_query(workspace, analyst)
    slow = lifecycle.claim(query_id=query.id, worker="slow")
    assert slow is not None
    Query.objects.filter(id=query.id).update(heartbeat_at=timezone.now() - STALE)
    services.sweep()
    fast = lifecycle.claim(query_id=query.id, worker="fast")
    assert fast is not None
    assert lifecycle.should_stop(slow)
    assert not lifecycle.heartbeat(slow, Progress())
    assert not lifecycle.succeed(held=slow, outcome=OUTCOME, result_key="x", result_bytes=1)
    assert lifecycle.succeed(held=fast, outcome=OUTCOME, result_key="y", result_bytes=1)
    query.refresh_from_db()
    assert query.result_key == "y"


def test_it_cancels_rather_than_retries_what_was_to_stop(
    workspace: Workspace, analyst: Actor
) -> None:
    query = make_query(workspace, analyst)
    abandon(query)
    services.cancel_query(actor=analyst, query=query)
    Query.objects.filter(id=query.id).update(heartbeat_at=timezone.now() - STALE)
    services.sweep()
    query.refresh_from_db()
    assert query.state == QueryState.CANCELLED


def test_it_announces_what_waits_and_not_too_often(workspace: Workspace, analyst: Actor) -> None:
    make_query(workspace, analyst)
    assert services.sweep()["announced"] == 1
    assert services.sweep()["announced"] == 0
    Query.objects.update(heartbeat_at=timezone.now() - timedelta(seconds=6))
    assert services.sweep()["announced"] == 1


# --- Results over HTTP ------------------------------------------------------------------------
SignedIn = Callable[[Actor], Client]


def address(query: Query, part: str = "") -> str:
    return f"/api/v1/workspaces/flight-ops/queries/{query.id}{part}"


def get(client: Client, query: Query, **parameters: Any) -> Any:
    return client.get(address(query, "/result"), parameters)


@pytest.fixture
def finished(workspace: Workspace, analyst: Actor) -> Query:
    sql = "SELECT i, i / 3 AS third, 'row ' || i AS label FROM range(3000) t(i)"
    return run(make_query(workspace, analyst, sql))


def test_it_pages_through_a_result(finished: Query, analyst: Actor, signed_in: SignedIn) -> None:
    client, offset, seen = signed_in(analyst), 0, []
    while offset is not None:
        page = get(client, finished, offset=offset).json()
        assert len(page["rows"]) <= 1000
        seen += page["rows"]
        offset = page["next_offset"]
    assert [row[0] for row in seen] == list(range(3000))
    assert page["row_count"] == 3000
    assert get(client, finished, offset=2999, limit=5).json()["rows"] == [
        [2999, 999.6666666666666, "row 2999"]
    ]
    assert get(client, finished, offset=5000).json()["rows"] == []
    assert get(client, finished, limit=1001).status_code == 422


def test_it_leads_to_the_whole_result_in_the_bucket(
    finished: Query, analyst: Actor, signed_in: SignedIn
) -> None:
    answer = get(signed_in(analyst), finished, format="arrow")
    assert answer.status_code == 307
    content = httpx.get(answer["Location"], timeout=60).content
    assert pa.ipc.open_file(io.BytesIO(content)).read_all().num_rows == 3000


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_it_converts_a_result_once(
    finished: Query, analyst: Actor, signed_in: SignedIn, form: str
) -> None:
    client = signed_in(analyst)
    answer = get(client, finished, format=form)
    assert (answer.status_code, answer["Retry-After"]) == (202, "1")
    row = ResultExport.objects.get()
    services.run_export(row.pk)
    services.run_export(row.pk)
    row.refresh_from_db()
    assert (row.state, row.attempts) == (ExportState.READY, 1)
    content = httpx.get(get(client, finished, format=form)["Location"], timeout=60).content
    if form == "csv":
        lines = content.decode().splitlines()
        assert (lines[0], lines[-1]) == ('"i","third","label"', '2999,999.6666666666666,"row 2999"')
    else:
        assert pq.read_table(io.BytesIO(content)).num_rows == 3000


def test_it_says_why_there_are_no_rows(
    workspace: Workspace, analyst: Actor, signed_in: SignedIn, finished: Query
) -> None:
    client = signed_in(analyst)
    waiting = make_query(workspace, analyst)
    assert get(client, waiting).json()["code"] == "result-not-ready"
    failed = run(make_query(workspace, analyst, "SELECT 'a'::INTEGER"))
    assert get(client, failed).json()["code"] == "no-result"
    key = finished.result_key
    Query.objects.filter(id=finished.id).update(result_expires_at=timezone.now())
    assert get(client, finished).status_code == 410
    assert services.expire_results() == 1
    with pytest.raises(storage.ObjectMissing):
        storage.hosted().size(key)
    answer = get(client, finished, format="csv")
    assert (answer.status_code, answer.json()["code"]) == (410, "result-expired")


def test_it_shows_a_query_to_its_asker_and_those_who_answer_for_the_workspace(
    finished: Query, signed_in: SignedIn, cast: Any
) -> None:
    expected = {
        "owner": 200,
        "steward": 200,
        "analyst": 200,
        "auditor": 200,
        "agent": 404,
        "outsider": 404,
    }
    seen = {
        name: signed_in(cast.actor(name)).get(address(finished)).status_code for name in expected
    }
    assert seen == expected


def test_it_lists_queries_newest_first_by_cursor(
    workspace: Workspace, analyst: Actor, signed_in: SignedIn
) -> None:
    made = [str(make_query(workspace, analyst).id) for _ in range(5)]
    client = signed_in(analyst)
    page = client.get("/api/v1/workspaces/flight-ops/queries", {"page_size": 2}).json()
    seen = [UUID(q["id"]) for q in page["results"]]
    rest = client.get(page["next"]).json()["results"]
    assert [str(i) for i in seen] + [q["id"] for q in rest] == made[::-1][:4]
