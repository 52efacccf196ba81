"""Many wait and one cancels: nobody is held up, and no function is too stubborn to be stopped."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import psutil
import psycopg
import pytest

from api.waiting import MOST_AT_ONCE
from tests.faults.test_kill_parts import FINAL, LONG, SHORT, Agent
from tests.patience import LONG_SECONDS, slowness, until
from tests.stack import DemoAir

pytestmark = pytest.mark.stack

WAITERS = MOST_AT_ONCE - 8
"""One web process may get all of them: whom it has no place for, it answers at once.

Some places may still be held by pages that were closed a moment ago.
"""
STUBBORN = {
    "like": (
        f"SELECT repeat('a', 100000 + i::INTEGER) LIKE '%{'a_%' * 120}b' AS found"
        " FROM range(1) t(i)"
    ),
    "jaro": (
        "SELECT jaro_similarity(repeat('ab', 400000 + i::INTEGER), repeat('ba', 400000)) AS near"
        " FROM range(1) t(i)"
    ),
    "plain": LONG,
}
"""Functions that the gate lets pass and that never look whether they were interrupted.

They depend on a row: of constants alone, planning would compute them, and give up.
"""
ENDLESS = "SELECT sum(sin(a.range) * cos(b.range)) AS s FROM range(250000) a, range(2000000) b"
"""For hours: the tests cancel it."""
READING = """
    SELECT count(*) FROM tpch.partsupp a, tpch.partsupp b
    WHERE a.ps_comment || b.ps_comment LIKE '%nothing such%'
"""
"""Of a table that no other test has the worker keep a copy of."""
HARD = 2.0
"""Seconds from the request to cancel until the engine's process is gone."""


@pytest.fixture
def agent(demo_air: DemoAir) -> Agent:
    return Agent(demo_air)


@pytest.fixture
def http(demo_air: DemoAir) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {demo_air.secrets['agent']}"}
    base = f"{demo_air.url}/api/v1/workspaces/flight-ops/"
    limits = httpx.Limits(max_connections=None)
    with httpx.Client(base_url=base, headers=headers, timeout=60, limits=limits) as client:
        yield client


def cancel(http: httpx.Client, query: dict[str, Any]) -> None:
    assert http.post(f"queries/{query['id']}/cancel").status_code == 202


def seconds_to_cancel(demo_air: DemoAir, query: dict[str, Any]) -> float:
    """Return what passed from the wish to the end, which is said once the engine is gone."""
    with psycopg.connect(demo_air.stack.environment["UPEND_DATABASE_URL"]) as link:
        row = link.execute(
            "SELECT extract(epoch FROM finished_at - cancel_requested_at)::float8"
            " FROM execution_query WHERE id = %s",
            [query["id"]],
        ).fetchone()
    assert row is not None
    return float(row[0])


@pytest.mark.parametrize("name", STUBBORN)
def test_it_cancels_within_two_seconds_whatever_the_function(
    name: str, demo_air: DemoAir, agent: Agent, http: httpx.Client
) -> None:
    query, working = agent.start_long(STUBBORN[name])
    cancel(http, query)
    _, alive = psutil.wait_procs(working, timeout=LONG_SECONDS)
    assert not alive
    assert agent.wait(query, FINAL)["state"] == "cancelled"
    assert seconds_to_cancel(demo_air, query) < HARD * slowness()
    assert agent.rows(agent.wait(agent.submit(SHORT), FINAL)) == [[42]]


def test_it_serves_others_while_many_wait(
    demo_air: DemoAir, agent: Agent, http: httpx.Client
) -> None:
    query, _ = agent.start_long(ENDLESS)
    url, before = f"queries/{query['id']}", sessions(demo_air)
    with ThreadPoolExecutor(WAITERS) as pool:
        waiters = [
            pool.submit(http.get, url, headers={"Prefer": "wait=30"}) for _ in range(WAITERS)
        ]
        threading.Event().wait(3)  # who is not let wait is answered sooner
        assert not any(waiter.done() for waiter in waiters)
        began = time.monotonic()
        assert httpx.get(f"{demo_air.url}/health/live", timeout=60).status_code == 200
        plan = http.post("plans", json={"sql": "SELECT 1 AS one", "place": "server"})
        assert plan.status_code == 200
        assert time.monotonic() - began < 20, "those who do not wait are held up by those who do"
        few = before + WAITERS / 2
        until(lambda: sessions(demo_air) < few, "those who wait hold connections", seconds=10)
        cancel(http, query)
        answers = [waiter.result(timeout=LONG_SECONDS) for waiter in waiters]
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["state"] for answer in answers} == {"cancelled"}
    assert {answer.headers["Preference-Applied"] for answer in answers} == {"wait=30"}


def sessions(demo_air: DemoAir) -> int:
    """Return how many connections PostgreSQL has, those of all processes together."""
    with psycopg.connect(demo_air.stack.environment["UPEND_DATABASE_URL"]) as link:
        row = link.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'client%'"
        )
        return int(row.fetchone()[0])  # type: ignore[index]


def test_it_gives_the_place_of_a_follower_that_left_to_others(
    agent: Agent, http: httpx.Client
) -> None:
    query, _ = agent.start_long(ENDLESS)
    for _ in range(3):  # each time as many as there is room for
        with ExitStack() as open_streams:
            for _ in range(90):
                open_streams.enter_context(first_event(http, query))
    until(lambda: may_wait(http, query), "those who left keep their places")
    cancel(http, query)


def may_wait(http: httpx.Client, query: dict[str, Any]) -> bool:
    """Tell whether a web process has a place to wait: it looks once a second who has left."""
    waited = http.get(f"queries/{query['id']}", headers={"Prefer": "wait=1"})
    return bool(waited.headers.get("Preference-Applied") == "wait=1")


@contextmanager
def first_event(http: httpx.Client, query: dict[str, Any]) -> Iterator[str]:
    """Open a stream, read its first event and hang up at the end."""
    with http.stream("GET", f"queries/{query['id']}/events") as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        yield next(line for line in answer.iter_lines() if line.startswith("data: "))


def test_it_streams_a_running_query_to_its_end(agent: Agent, http: httpx.Client) -> None:
    query, _ = agent.start_long(ENDLESS)
    kinds = []
    with http.stream("GET", f"queries/{query['id']}/events") as answer:
        for line in answer.iter_lines():
            if line.startswith("event: "):
                kinds.append(line.removeprefix("event: "))
                if len(kinds) == 1:
                    cancel(http, query)
    assert kinds[-1] == "end"
    assert set(kinds[:-1]) == {"progress"}


def test_it_tells_what_was_fetched_while_the_query_runs(
    demo_air: DemoAir, agent: Agent, http: httpx.Client
) -> None:
    query = agent.submit(READING)
    with http.stream("GET", f"queries/{query['id']}/events") as answer:
        said = (json.loads(line[6:]) for line in answer.iter_lines() if line[:6] == "data: ")
        step = next(one for one in said if one.get("bytes_read"))
    assert step["state"] == "running"
    cancel(http, query)
    assert 0 < step["bytes_read"] <= 2 * query["plan"]["scan_bytes"]
