"""Whoever waits for a query hears of its end at once, with the broker or without."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from pytest_django import Settings

from accounts.domain import Actor
from execution import services, waiting
from execution.domain import QueryState
from execution.engine.domain import Progress
from execution.engine.problems import QueryCancelled
from execution.models import Query
from execution.notices import domain, sender
from execution.notices.hub import Hub, hub
from execution.services import lifecycle, notices
from tests.broker import NOBODY
from tests.execution.rows import make_query
from workspaces.models import Workspace

pytestmark = pytest.mark.django_db(transaction=True)

QUERIES = "/api/v1/workspaces/flight-ops/queries"
SLOW = "SELECT count(*) AS n FROM range(300000) a, range(300000) b WHERE a.range + b.range = 7"
SignedIn = Callable[[Actor], Client]
Aside = Callable[..., Any]


@pytest.fixture
def aside() -> Iterator[Aside]:
    """Do something on another thread, with a database connection of its own."""
    with ThreadPoolExecutor(waiting.MOST_AT_ONCE + 2) as pool:

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
        for _ in range(20):
            if hub().is_hearing:
                return hub()
            follower.wait(1)
    pytest.fail("the hub does not hear the broker")


def state_of(query: Query) -> str:
    return Query.objects.values_list("state", flat=True).get(id=query.id)


def await_state(query: Query, state: QueryState) -> None:
    with hub().follow(query.id) as follower:
        until = time.monotonic() + 30
        while state_of(query) != state:
            assert time.monotonic() < until, state_of(query)
            follower.wait(1)


def test_it_wakes_who_waits_when_the_query_ends(
    hearing: Hub, workspace: Workspace, analyst: Actor, aside: Aside
) -> None:
    query = make_query(workspace, analyst)
    waited = aside(waiting.wait_for_end, query.id, seconds=30)
    ran = aside(services.run_query, query.id, worker="test")
    assert waited.result(timeout=20)
    assert state_of(query) == QueryState.SUCCEEDED
    ran.result()


def test_it_tells_each_change_after_it_is_true(
    hearing: Hub, workspace: Workspace, analyst: Actor
) -> None:
    query = make_query(workspace, analyst)
    with hearing.follow(query.id) as follower:
        held = lifecycle.claim(query_id=query.id, worker="test")
        assert held is not None
        assert follower.wait(5)
        assert follower.latest == domain.Notice(query.id, QueryState.RUNNING)
        services.cancel_query(actor=analyst, query=query)
        assert follower.wait(5)
        lifecycle.fail(held=held, problem=QueryCancelled("It was stopped."))
        assert follower.wait(5)
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
        assert curious.wait(5)
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
    until = time.monotonic() + 20
    while not (query := Query.objects.exclude(sql="SELECT 1 AS one").first()):
        assert time.monotonic() < until
        threading.Event().wait(0.05)
    services.run_query(query.id, worker="test")
    response = answer.result(timeout=20)
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
    waiters = [
        aside(waiting.wait_for_end, query.id, seconds=30) for _ in range(waiting.MOST_AT_ONCE)
    ]
    while waiting._room._value:
        threading.Event().wait(0.01)
    response = client.get(f"{QUERIES}/{query.id}", headers={"Prefer": "wait=30"})
    assert response.json()["state"] == "queued"
    assert "Preference-Applied" not in response
    services.cancel_query(actor=analyst, query=query)
    assert all(waiter.result(timeout=20) for waiter in waiters)


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
        if sessions < 10 and waiting._room._value == waiting.MOST_AT_ONCE - 30:
            break
        assert time.monotonic() < until, sessions
        threading.Event().wait(0.02)
    services.cancel_query(actor=analyst, query=query)
    assert all(waiter.result(timeout=20) for waiter in waiters)


def test_it_looks_at_the_row_while_the_broker_is_away(
    settings: Settings, workspace: Workspace, analyst: Actor, aside: Aside
) -> None:
    settings.BROKER_URL = NOBODY
    query = make_query(workspace, analyst)
    waited = aside(waiting.wait_for_end, query.id, seconds=30)
    services.run_query(query.id, worker="test")
    assert waited.result(timeout=10)
    assert state_of(query) == QueryState.SUCCEEDED
    assert not hub().is_hearing


def test_it_says_nothing_more_for_a_while_to_a_broker_that_is_away() -> None:
    out = sender.Sender(NOBODY)
    notice = domain.Notice(uuid4(), QueryState.RUNNING)
    assert not out.send(notice)
    assert out._silent_until > time.monotonic()
    assert not out.send(notice)


def test_it_cancels_a_running_query_by_a_notice(
    hearing: Hub, workspace: Workspace, analyst: Actor, aside: Aside
) -> None:
    query = make_query(workspace, analyst, SLOW)
    ran = aside(services.run_query, query.id, worker="test")
    await_state(query, QueryState.RUNNING)
    services.cancel_query(actor=analyst, query=query)
    ran.result(timeout=20)
    assert state_of(query) == QueryState.CANCELLED
