"""Analysts at their desks, for load: each asks, reads the first page, thinks, and asks again.

All of them are coroutines of one process, so that the client takes little of the machine that it
measures. A failure is anything but a page of rows; nothing is tried twice.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

WAIT_SECONDS = 30
"""How long one answer may take; then the client asks again."""
LONGEST_SECONDS = 60.0
"""A query that takes longer has failed: an end that every phase can wait for."""
TIMEOUT = httpx.Timeout(WAIT_SECONDS + 15, connect=10)
IDLE_CONNECTION_SECONDS = 1
"""Less than the server keeps a silent connection, so that none is used as it is closed."""
PAGE_ROWS = 100
FINAL = frozenset({"cancelled", "failed", "succeeded"})

Choose = Callable[[random.Random], tuple[str, str]]
"""Returns the kind of the next query and its text."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One query as its analyst saw it. `problem` is empty where the rows came."""

    who: str
    kind: str
    query_id: str
    started: float
    seconds: float
    problem: str = ""


@dataclass(slots=True)
class Desk:
    """Where one analyst works: who it is, by which token, over whose connections."""

    who: str
    token: str
    http: httpx.AsyncClient
    reuse: bool = False
    answers: list[Answer] = field(default_factory=list)

    async def work(self, choose: Choose, *, until: float, think_seconds: float) -> None:
        """Think and ask in turn until `until`, on the monotonic clock; begin at a random moment."""
        dice = random.Random(self.who)
        pause = dice.uniform(0, think_seconds)
        while time.monotonic() + pause < until:
            await asyncio.sleep(pause)
            await self.ask(*choose(dice))
            pause = dice.uniform(0.5, 1.5) * think_seconds

    async def ask(self, kind: str, sql: str) -> Answer:
        """Run one query to its first page of rows, and note how that went."""
        began, started = time.time(), time.perf_counter()
        document: dict[str, Any] = {}
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                document = await self.submit(sql, wait=True)
                document = await self.end_of(document)
                problem = await self.read(document)
        except httpx.HTTPStatusError as error:
            problem = f"{error.response.status_code} {code_of(error.response)}"
        except (httpx.TransportError, TimeoutError) as error:
            problem = type(error).__name__
        took = time.perf_counter() - started
        query_id = str(document.get("id", ""))
        self.answers.append(Answer(self.who, kind, query_id, began, took, problem))
        return self.answers[-1]

    async def submit(self, sql: str, *, wait: bool) -> dict[str, Any]:
        """Submit a query and return it, with `wait` once it has ended or 30 s are over."""
        body = {"sql": sql, "place": "server", "cache": self.reuse}
        return await self._json("POST", "/queries", json=body, headers=_prefer(wait=wait))

    async def end_of(self, document: dict[str, Any]) -> dict[str, Any]:
        """Return the query once it has ended."""
        while document["state"] not in FINAL:
            path = f"/queries/{document['id']}"
            document = await self._json("GET", path, headers=_prefer(wait=True))
            if document["state"] not in FINAL:
                await asyncio.sleep(0.2)
        return document

    async def read(self, document: dict[str, Any]) -> str:
        """Fetch the first rows of an ended query; return what is wrong with it, if anything."""
        if document["state"] != "succeeded":
            return str((document.get("problem") or {}).get("code", document["state"]))
        path = f"/queries/{document['id']}/result"
        page = await self._json("GET", path, params={"format": "json", "limit": PAGE_ROWS})
        return "" if page["rows"] else "no-rows"

    async def cancel(self, query_id: str) -> None:
        """Stop a query; one that is over stays as it is."""
        await self._request("POST", f"/queries/{query_id}/cancel")

    async def _json(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        answer = await self._request(method, path, **arguments)
        answer.raise_for_status()
        document: dict[str, Any] = answer.json()
        return document

    async def _request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}"} | (arguments.pop("headers", {}))
        return await self.http.request(method, path, headers=headers, **arguments)


@contextmanager
def connections(url: str, workspace: str) -> Iterator[httpx.AsyncClient]:
    """Yield the connections of an event loop to one workspace's API; it closes them itself."""
    limits = httpx.Limits(max_connections=None, keepalive_expiry=IDLE_CONNECTION_SECONDS)
    base = f"{url}/api/v1/workspaces/{workspace}"
    yield httpx.AsyncClient(base_url=base, limits=limits, timeout=TIMEOUT)


def _prefer(*, wait: bool) -> dict[str, str]:
    return {"Prefer": f"wait={WAIT_SECONDS}"} if wait else {}


def code_of(answer: httpx.Response) -> str:
    """Return the code of a refusal, or how its text begins."""
    try:
        return str(answer.json().get("code", ""))
    except ValueError:
        return answer.text[:80]
