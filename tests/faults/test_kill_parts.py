"""Whatever is killed in the middle of a query: nothing is lost, and it says what happened."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import httpx
import psutil
import pytest

from execution.engine.forkserver import ENGINE_NAME
from tests.patience import LONG_SECONDS, until
from tests.stack import DemoAir

pytestmark = pytest.mark.stack

LONG = "SELECT sum(sin(a.range) * cos(b.range)) AS s FROM range(25000) a, range(20000) b"
SHORT = "SELECT 42 AS answer"
FINAL = {"cancelled", "failed", "succeeded"}


class Agent:
    """The demo's service account over HTTP, as patient as a client should be."""

    def __init__(self, demo: DemoAir) -> None:
        self._demo = demo
        self._url = f"{demo.url}/api/v1/workspaces/flight-ops/queries"
        self._headers = {"Authorization": f"Bearer {demo.secrets['agent']}"}

    def submit(self, sql: str) -> dict[str, Any]:
        body = {"sql": sql, "place": "server", "cache": False}
        key = {"Idempotency-Key": str(uuid4())}
        return self._patiently(
            lambda: httpx.post(self._url, json=body, headers=self._headers | key, timeout=60)
        )

    def get(self, query: dict[str, Any]) -> dict[str, Any]:
        url = f"{self._url}/{query['id']}"
        return self._patiently(lambda: httpx.get(url, headers=self._headers, timeout=60))

    def rows(self, query: dict[str, Any]) -> list[list[Any]]:
        url = f"{self._url}/{query['id']}/result"
        page = self._patiently(lambda: httpx.get(url, headers=self._headers, timeout=60))
        rows: list[list[Any]] = page["rows"]
        return rows

    def wait(self, query: dict[str, Any], states: set[str], seconds: float = 400) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while (found := self.get(query))["state"] not in states:
            assert time.monotonic() < deadline, found
            time.sleep(0.2)
        return found

    def start_long(self, sql: str = LONG) -> tuple[dict[str, Any], set[psutil.Process]]:
        """Submit a long query and wait until an engine really works on it; return both."""
        others = behind(self._demo)
        query = self.wait(self.submit(sql), {"running"})
        return query, until(lambda: behind(self._demo) - others, "no engine is at work")

    @staticmethod
    def _patiently(send: Callable[[], httpx.Response]) -> dict[str, Any]:
        for _ in range(600):
            try:
                answer = send()
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code < 500:
                assert answer.is_success, answer.text
                found: dict[str, Any] = answer.json()
                return found
            time.sleep(0.2)
        pytest.fail("the web process did not come back")


@pytest.fixture
def agent(demo_air: DemoAir) -> Iterator[Agent]:
    yield Agent(demo_air)
    wanted = {"web", "worker-query", "valkey"}
    until(lambda: wanted <= set(demo_air.stack.processes), "not all parts came back")


def family(demo: DemoAir, part: str) -> list[psutil.Process]:
    process = psutil.Process(demo.stack.processes[part])
    return [process, *process.children(recursive=True)]


def engines(demo: DemoAir) -> list[psutil.Process]:
    found = []
    for process in family(demo, "worker-query"):
        with contextlib.suppress(psutil.NoSuchProcess):  # another may end at any moment
            if process.name() == ENGINE_NAME:
                found.append(process)
    return found


def behind(demo: DemoAir) -> set[psutil.Process]:
    """Return the engines that have been at a query for a second, and let others go first.

    What else an engine does, such as to warm up for the next query, takes time too, but it is
    nobody's query.
    """
    usual, found = psutil.Process(demo.stack.processes["worker-query"]).nice(), set()
    for process in engines(demo):
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.nice() > usual:
                found.add(process)
    return found


def test_it_runs_a_query_again_when_its_worker_was_killed(demo_air: DemoAir, agent: Agent) -> None:
    query, _ = agent.start_long()
    killed = family(demo_air, "worker-query")
    orphans = engines(demo_air)
    pid = demo_air.stack.processes["worker-query"]
    for process in killed:
        if process not in orphans:
            process.kill()
    gone, alive = psutil.wait_procs(orphans, timeout=LONG_SECONDS)
    assert gone
    assert not alive, "an engine outlived its worker"
    demo_air.stack.wait_restarted("worker-query", pid)
    ended = agent.wait(query, FINAL, seconds=150)
    assert (ended["state"], ended["attempts"]) == ("succeeded", 2)
    assert len(agent.rows(ended)) == 1


def test_it_says_that_the_engine_was_killed(demo_air: DemoAir, agent: Agent) -> None:
    query, working = agent.start_long()
    for process in working:
        process.kill()
    ended = agent.wait(query, FINAL)
    assert ended["state"] == "failed"
    assert ended["problem"]["code"] in {"query-out-of-memory", "engine-died"}
    assert ended["problem"]["hint"]
    assert agent.rows(agent.wait(agent.submit(SHORT), FINAL)) == [[42]]


def test_it_loses_nothing_when_the_broker_is_killed(demo_air: DemoAir, agent: Agent) -> None:
    running, _ = agent.start_long()
    pid = demo_air.stack.kill("valkey")
    waiting = agent.submit(SHORT)
    demo_air.stack.wait_restarted("valkey", pid)
    assert agent.rows(agent.wait(waiting, FINAL)) == [[42]]
    ended = agent.wait(running, FINAL)
    assert (ended["state"], ended["attempts"]) == ("succeeded", 1)


def test_it_goes_on_when_the_web_process_is_killed(demo_air: DemoAir, agent: Agent) -> None:
    query, _ = agent.start_long()
    pid = demo_air.stack.kill("web")
    demo_air.stack.wait_restarted("web", pid)
    ended = agent.wait(query, FINAL)
    assert (ended["state"], ended["attempts"]) == ("succeeded", 1)
    assert len(agent.rows(ended)) == 1
