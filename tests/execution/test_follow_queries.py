"""Whoever waits for a query hears of its end at once, with the broker or without."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from typing import Any
from uuid import uuid4

import pytest
import redis
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts.domain import Actor
from accounts.models import ApiToken
from api import waiting as room
from api.broker import Broker
from execution import following, services, waiting
from execution.domain import QueryState
from execution.engine.domain import Progress
from execution.engine.problems import QueryCancelled
from execution.models import Query
from execution.notices import domain, sender
from execution.notices.hub import Hub, hub
from execution.services import lifecycle, notices
from tests.broker import NOBODY
from tests.cast import Cast
from tests.execution.rows import make_query
from workspaces.models import Workspace

pytestmark = pytest.mark.django_db(transaction=True)

QUERIES = "/api/v1/workspaces/flight-ops/queries"
SLOW = "SELECT count(*) AS n FROM range(300000) a, range(300000) b WHERE a.range + b.range = 7"
MANY = "SELECT a.range AS i FROM range(1000000) a, range(10000) b"
SignedIn = Callable[[Actor], Client]
Aside = Callable[..., Any]


@pytest.fixture
def aside() -> Iterator[Aside]:
    """Do something on another thread, with a database connection of its own."""
    with ThreadPoolExecutor(room.MOST_AT_ONCE + 2) as pool:

        def start(what: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            def work() -> Any:
                try:
                    return what(*args, **kwargs)
                finally:
                    connection.close()

            return pool.submit(work)

        yield start


@pytest.fixture
def hearing(workspace: Workspace, analyst: Actor) -> Hub:
    """Return the hub once it hears the broker."""
    with hub().follow(make_query(workspace, analyst).id) as follower:
        for _ in range(120):
            if hub().is_hearing:
                return hub()
            follower.wait(1)
    pytest.fail("the hub does not hear the broker")


def state_of(query: Query) -> str:
    return Query.objects.values_list("state", flat=True).get(id=query.id)


def await_state(query: Query, state: QueryState) -> None:
    with hub().follow(query.id) as follower:
        until = time.monotonic() + 60
        while state_of(query) != state:
            assert time.monotonic() < until, state_of(query)
            follower.wait(1)


def test_it_wakes_who_waits_when_the_query_ends(
    hearing: Hub, workspace: Workspace, analyst: Actor, aside: Aside
) -> None:
    query = make_query(workspace, analyst)
    waited = aside(waiting.wait_for_end, query.id, seconds=30)
    ran = aside(services.run_query, query.id, worker="test")
    assert waited.result(timeout=60)
    assert state_of(query) == QueryState.SUCCEEDED
    ran.result()


def test_it_tells_each_change_after_it_is_true(
    hearing: Hub, workspace: Workspace, analyst: Actor
) -> None:
    query = make_query(workspace, analyst)
    with hearing.follow(query.id) as follower:
        held = lifecycle.claim(query_id=query.id, worker="test")
        assert held is not None
        assert follower.wait(30)
        assert follower.latest == domain.Notice(query.id, QueryState.RUNNING)
        services.cancel_query(actor=analyst, query=query)
        assert follower.wait(30)
        lifecycle.fail(held=held, problem=QueryCancelled("It was stopped."))
        assert follower.wait(30)
        assert follower.latest == domain.Notice(query.id, QueryState.CANCELLED)


def test_it_tells_progress_to_those_who_want_it(
    hearing: Hub, workspace: Workspace, analyst: Actor
) -> None:
    query = make_query(workspace, analyst)
    with (
        hearing.follow(query.id, wants_progress=True) as curious,
        hearing.follow(query.id) as patient,
    ):
        notices.tell_progress(query.id, Progress(12.5, 7, 56))
        assert curious.wait(30)
        assert curious.latest is not None
        assert curious.latest.progress == Progress(12.5, 7, 56)
        assert not patient.has_news()


def test_it_ignores_messages_of_strangers() -> None:
    for text in ("", "[]", "7", '{"id": 1}', '{"id": "x", "state": "running"}', "{"):
        assert domain.read(text) is None


def test_it_answers_a_submission_once_the_query_has_ended(
    hearing: Hub, workspace: Workspace, analyst: Actor, signed_in: SignedIn, aside: Aside
) -> None:
    client = signed_in(analyst)
    answer = aside(
        client.post,
        QUERIES,
        {"sql": "SELECT 42 AS answer", "place": "server"},
        content_type="application/json",
        headers={"Prefer": "respond-async, wait=25"},
    )
    until = time.monotonic() + 60
    while not (query := Query.objects.exclude(sql="SELECT 1 AS one").first()):
        assert time.monotonic() < until
        threading.Event().wait(0.05)
    services.run_query(query.id, worker="test")
    response = answer.result(timeout=60)
    assert response.status_code == 201
    assert response.json()["state"] == "succeeded"
    assert response.json()["row_count"] == 1
    assert response["Preference-Applied"] == "wait=25"


def test_it_answers_with_the_present_state_when_the_time_is_over(
    workspace: Workspace, analyst: Actor, signed_in: SignedIn
) -> None:
    query = make_query(workspace, analyst)
    response = signed_in(analyst).get(f"{QUERIES}/{query.id}", headers={"Prefer": "wait=1"})
    assert response.json()["state"] == "queued"
    assert response["Preference-Applied"] == "wait=1"


@pytest.mark.parametrize("preference", ["", "wait=0", "wait=x", "wait=-1", "handling=strict"])
def test_it_answers_at_once_where_no_wait_is_preferred(
    preference: str, workspace: Workspace, analyst: Actor, signed_in: SignedIn
) -> None:
    query = make_query(workspace, analyst)
    response = signed_in(analyst).get(f"{QUERIES}/{query.id}", headers={"Prefer": preference})
    assert response.json()["state"] == "queued"
    assert "Preference-Applied" not in response


def test_it_answers_at_once_when_too_many_wait(
    workspace: Workspace, analyst: Actor, signed_in: SignedIn, aside: Aside
) -> None:
    query = make_query(workspace, analyst)
    client = signed_in(analyst)
    waiters = [aside(waiting.wait_for_end, query.id, seconds=30) for _ in range(room.MOST_AT_ONCE)]
    while room._room._value:
        threading.Event().wait(0.01)
    response = client.get(f"{QUERIES}/{query.id}", headers={"Prefer": "wait=30"})
    assert response.json()["state"] == "queued"
    assert "Preference-Applied" not in response
    services.cancel_query(actor=analyst, query=query)
    assert all(waiter.result(timeout=60) for waiter in waiters)


def test_it_holds_no_connection_while_it_waits(
    workspace: Workspace, analyst: Actor, aside: Aside
) -> None:
    query = make_query(workspace, analyst)
    waiters = [aside(waiting.wait_for_end, query.id, seconds=30) for _ in range(30)]
    sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    until = time.monotonic() + 20
    while True:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            sessions = cursor.fetchone()[0]
        if sessions < 10 and room._room._value == room.MOST_AT_ONCE - 30:
            break
        assert time.monotonic() < until, sessions
        threading.Event().wait(0.02)
    services.cancel_query(actor=analyst, query=query)
    assert all(waiter.result(timeout=60) for waiter in waiters)


def test_it_looks_at_the_row_while_the_broker_is_away(
    settings: Settings, workspace: Workspace, analyst: Actor, aside: Aside
) -> None:
    settings.BROKER_URL = NOBODY
    query = make_query(workspace, analyst)
    waited = aside(waiting.wait_for_end, query.id, seconds=30)
    services.run_query(query.id, worker="test")
    assert waited.result(timeout=60)
    assert state_of(query) == QueryState.SUCCEEDED
    assert not hub().is_hearing


def test_it_says_nothing_more_for_a_while_to_a_broker_that_is_away() -> None:
    away = Broker(NOBODY)
    asked: list[int] = []

    def ask(client: redis.Redis) -> bool:
        asked.append(1)
        return bool(client.ping())

    assert away.attempt(ask) is None
    assert away.attempt(ask) is None
    assert len(asked) == 1


def test_it_tells_whether_a_notice_left(settings: Settings) -> None:
    notice = domain.Notice(uuid4(), QueryState.RUNNING)
    assert sender.send(notice)
    settings.BROKER_URL = NOBODY
    assert not sender.send(notice)


def test_it_cancels_a_running_query_by_a_notice(
    hearing: Hub, workspace: Workspace, analyst: Actor, aside: Aside
) -> None:
    query = make_query(workspace, analyst, SLOW)
    ran = aside(services.run_query, query.id, worker="test")
    await_state(query, QueryState.RUNNING)
    services.cancel_query(actor=analyst, query=query)
    ran.result(timeout=60)
    assert state_of(query) == QueryState.CANCELLED


def events_of(content: Iterable[bytes]) -> Iterator[tuple[str, Any]]:
    """Read a stream of events as a browser does: kind and data of each."""
    for block in b"".join(content).decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line[:1] != ":")
        if "event" in fields:
            yield fields["event"], json.loads(fields["data"])


def follow(client: Client, query: Query, **headers: str) -> Any:
    accept = {"Accept": "text/event-stream"}
    return client.get(f"{QUERIES}/{query.id}/events", headers=accept | headers)


def test_it_streams_progress_and_the_end(
    hearing: Hub, workspace: Workspace, analyst: Actor, signed_in: SignedIn, aside: Aside
) -> None:
    workspace.max_result_rows, workspace.max_result_bytes = 10**10, 10**11
    workspace.save()
    query = make_query(workspace, analyst, MANY)
    response = follow(signed_in(analyst), query)
    assert response["Content-Type"] == "text/event-stream"
    assert response["Cache-Control"] == "no-store"
    content = iter(response.streaming_content)
    heard = [next(content)]
    ran = aside(services.run_query, query.id, worker="test")
    while heard[-1].count(b'"rows": 0'):
        heard.append(next(content))
    services.cancel_query(actor=analyst, query=query)
    heard += content
    ran.result(timeout=60)
    found = list(events_of(heard))
    states = [state for state, _ in groupby(data["state"] for _, data in found)]
    assert states == ["queued", "running", "cancelled"]
    assert found[-1][0] == "end"
    assert found[-1][1]["state"] == "cancelled"
    assert found[-1][1]["id"] == str(query.id)
    rows = [data["rows"] for _, data in found[1:-1]]
    assert rows == sorted(rows)
    assert rows[-1] > 0


def test_it_streams_the_end_alone_of_a_query_that_is_over(
    workspace: Workspace, analyst: Actor, signed_in: SignedIn
) -> None:
    query = make_query(workspace, analyst)
    services.cancel_query(actor=analyst, query=query)
    response = follow(signed_in(analyst), query, **{"Last-Event-ID": "7"})
    assert [kind for kind, _ in events_of(response.streaming_content)] == ["end"]


def test_it_streams_while_the_broker_is_away(
    settings: Settings, workspace: Workspace, analyst: Actor, signed_in: SignedIn
) -> None:
    settings.BROKER_URL = NOBODY
    query = make_query(workspace, analyst)
    content = iter(follow(signed_in(analyst), query).streaming_content)
    heard = [next(content)]
    services.run_query(query.id, worker="test")
    assert list(events_of([*heard, *content]))[-1][1]["state"] == "succeeded"


def test_it_ends_the_stream_of_someone_who_lost_access(
    monkeypatch: pytest.MonkeyPatch,
    workspace: Workspace,
    analyst: Actor,
    agent: Actor,
    bearer: Callable[..., dict[str, str]],
) -> None:
    monkeypatch.setattr(following, "CHECK_SECONDS", 0.0)
    query = make_query(workspace, agent)
    content = iter(follow(Client(), query, **bearer(agent)).streaming_content)
    next(content)
    ApiToken.objects.update(revoked_at=timezone.now())
    assert not list(content)


def test_it_says_no_more_than_where_it_stands_when_too_many_follow(
    monkeypatch: pytest.MonkeyPatch, workspace: Workspace, analyst: Actor, signed_in: SignedIn
) -> None:
    monkeypatch.setattr(room, "_room", threading.BoundedSemaphore(1))
    query = make_query(workspace, analyst)
    with room.place_to_wait():
        (event,) = follow(signed_in(analyst), query).streaming_content
    assert b"retry: 3000" in event
    assert b'"state": "queued"' in event


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (("outsider", "text/event-stream"), 404),
        (("steward", "text/event-stream"), 200),
        (("agent", "text/event-stream"), 404),
        (("analyst", "application/json"), 406),
        (("analyst", "*/*"), 200),
    ],
)
def test_it_streams_to_those_who_may_see_the_query(
    asked: tuple[str, str], status: int, cast: Cast, analyst: Actor, signed_in: SignedIn
) -> None:
    who, accept = asked
    query = make_query(cast.workspace, analyst)
    services.cancel_query(actor=analyst, query=query)
    response = follow(signed_in(cast.actor(who)), query, Accept=accept)
    assert response.status_code == status
    if status != 200:
        assert response["Content-Type"] == "application/problem+json"
        assert response.json()["status"] == status
    response.close()
