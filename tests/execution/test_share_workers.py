"""One person's flood and another's small question, on the whole running stack."""

from __future__ import annotations

import time
from contextlib import closing
from typing import Any

import httpx
import pytest

from tests.stack import DemoAir

pytestmark = pytest.mark.stack

# Small by estimate: whole minutes of work on no rows of any table.
LONG = "SELECT sum(sin(a.range) * cos(b.range)) AS s FROM range(25000) a, range(200000) b"
FLOOD = 30


class Asker:
    """One of the demo's people over HTTP, signed in as in a browser."""

    def __init__(self, demo: DemoAir, name: str) -> None:
        self._url = f"{demo.url}/api/v1/workspaces/flight-ops/queries"
        self._http = httpx.Client(base_url=demo.url, timeout=60)
        self._http.get("/accounts/login/")
        form = {"login": demo.email(name), "password": demo.secrets[name]}
        self._trust()
        assert self._http.post("/accounts/login/", data=form).status_code == 302
        self._trust()

    def _trust(self) -> None:
        """Send the token that shows the request to be meant (Django's CSRF protection)."""
        self._http.headers["X-CSRFToken"] = self._http.cookies["upend_csrf"]

    def close(self) -> None:
        self._http.close()

    def submit(self, sql: str, **more: Any) -> dict[str, Any]:
        body = {"sql": sql, "place": "server", "cache": False} | more
        answer = self._http.post(self._url, json=body)
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def get(self, query: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = self._http.get(f"{self._url}/{query['id']}").json()
        return found

    def cancel(self, query: dict[str, Any]) -> None:
        self._http.post(f"{self._url}/{query['id']}/cancel", json={})

    def wait(self, query: dict[str, Any], *states: str) -> dict[str, Any]:
        deadline = time.monotonic() + 400
        while (found := self.get(query))["state"] not in states:
            assert time.monotonic() < deadline, found
            time.sleep(0.1)
        return found


def test_it_answers_a_small_question_while_a_flood_waits(demo_air: DemoAir) -> None:
    with (
        closing(Asker(demo_air, "steward")) as flooder,
        closing(Asker(demo_air, "analyst")) as other,
    ):
        flood = [flooder.submit(LONG) for _ in range(FLOOD)]
        try:
            flooder.wait(flood[0], "running")
            states = [flooder.get(query)["state"] for query in flood]
            assert "queued" in states
            last = flooder.get(flood[-1])
            assert last["queue"]["position"] > last["queue"]["ahead"] > 0
            ended = other.wait(other.submit("SELECT 42 AS answer"), "succeeded", "failed")
            assert ended["state"] == "succeeded", ended["problem"]
            states = [flooder.get(query)["state"] for query in flood]
            assert states.count("queued") > FLOOD / 2, "it was not behind the flood"
        finally:
            for query in reversed(flood):
                flooder.cancel(query)
        for query in flood:
            assert flooder.wait(query, "cancelled", "succeeded", "failed")["state"] == "cancelled"
        assert other.wait(other.submit("SELECT 1"), "succeeded", "failed")["state"] == "succeeded"
