"""A load of queries whose right answers are known beforehand, by people who do not give up."""

from __future__ import annotations

import io
import random
import threading
import time
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
import pyarrow as pa

FINAL = {"cancelled", "failed", "succeeded"}
BUSY = {429, 502, 503, 504}
BINDER_KILLED = "planning-failed"
"""What is said of a text whose binder died at its work: nobody knows that it was killed."""

PATIENCE_SECONDS = 10.0
"""How long one query is asked after at least: an answer that does not come is not its end."""


@dataclass(frozen=True)
class Question:
    """A statement, how many rows its whole answer has, and the sum of its first column."""

    sql: str
    rows: int
    total: int


def questions(number: int) -> list[Question]:
    """Return one question of each weight; `number` makes every text new, so that none is cached."""
    return [
        Question(f"SELECT {number} AS n", 1, number),
        Question(
            f"SELECT month + {number} AS m, count(*) FROM flights.flights GROUP BY month",
            12,
            78 + 12 * number,
        ),
        Question(
            f"SELECT i + {number} AS i FROM range(300000) t(i)",
            300_000,
            299_999 * 150_000 + 300_000 * number,
        ),
        Question(
            f"SELECT count(*) * 0 + {number} AS n FROM range(6000) a, range(20000) b"
            " WHERE sin(a.range) * cos(b.range) > 2",
            1,
            number,
        ),
    ]


@dataclass
class Asked:
    """One query that was accepted, and what is wrong with how it went."""

    id: str
    question: Question
    is_cancelled: bool
    fault: str = ""


@dataclass
class Load:
    """Some threads that ask, until told to stop."""

    url: str
    token: str
    seed: int
    asked: list[Asked] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """What was answered to submissions that had to be accepted."""
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    _numbers: int = 0

    def start(self, threads: int) -> None:
        """Begin."""
        for number in range(threads):
            thread = threading.Thread(target=self._ask_on, args=(number,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Ask nothing more."""
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=60)

    def check_all(self, *, within_seconds: float) -> dict[str, int]:
        """Wait for the end of every query; return how many ended how, `wrong` among them."""
        deadline = time.monotonic() + within_seconds
        with self._client() as client:
            for one in self.asked:
                self._check(client, one, deadline)
        ends: dict[str, int] = {}
        for one in self.asked:
            ends[one.fault or "as it should"] = ends.get(one.fault or "as it should", 0) + 1
        return ends

    def _client(self) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.token}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=20)

    def _ask_on(self, number: int) -> None:
        chance = random.Random(self.seed * 1000 + number)
        with self._client() as client:
            while not self._stop.is_set():
                self._numbers += 1
                question = chance.choice(questions(self._numbers))
                query_id = self._submit(client, question)
                if query_id is None:
                    continue
                cancels = chance.random() < 0.1
                self.asked.append(Asked(query_id, question, cancels))
                if cancels:
                    self._patiently(client, "POST", f"/queries/{query_id}/cancel")
                else:
                    self._wait(client, query_id, 5)

    def _submit(self, client: httpx.Client, question: Question) -> str | None:
        """Submit until it is accepted: the key makes repeating harmless."""
        key = str(uuid4())
        body = {"sql": question.sql, "place": "server"}
        while not self._stop.is_set():
            answer = self._patiently(client, "POST", "/queries", body, {"Idempotency-Key": key})
            if answer is not None and answer.status_code in {200, 201}:
                return str(answer.json()["id"])
            if answer is not None and answer.json().get("code") != BINDER_KILLED:
                self.refused.append(f"{answer.status_code} {answer.text[:200]}")
            self._stop.wait(0.2)
        return None

    def _wait(self, client: httpx.Client, query_id: str, seconds: float) -> dict[str, Any] | None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self._stop.is_set():
            answer = self._patiently(client, "GET", f"/queries/{query_id}")
            if answer is not None and answer.json()["state"] in FINAL:
                found: dict[str, Any] = answer.json()
                return found
            self._stop.wait(0.1)
        return None

    def _check(self, client: httpx.Client, one: Asked, deadline: float) -> None:
        """Write down what is wrong with how a query ended."""
        patience = max(deadline, time.monotonic() + PATIENCE_SECONDS)
        while True:
            answer = self._patiently(client, "GET", f"/queries/{one.id}")
            document: dict[str, Any] = {"state": "unknown"} if answer is None else answer.json()
            if document["state"] in FINAL:
                break
            if time.monotonic() > patience:
                one.fault = f"still {document['state']}"
                return
            time.sleep(0.2)
        if document["state"] == "succeeded":
            one.fault = self._wrong(client, one)
        elif document["state"] == "failed" and not (document["problem"] or {}).get("hint"):
            one.fault = "failed without a word of what to do"
        elif document["state"] == "cancelled" and not one.is_cancelled:
            one.fault = "cancelled by nobody"

    def _wrong(self, client: httpx.Client, one: Asked) -> str:
        """Tell what the result lacks, empty where it is whole."""
        for _ in range(50):
            found = self._patiently(client, "GET", f"/queries/{one.id}/result?format=arrow")
            if found is not None and found.is_success:
                table = pa.ipc.open_file(io.BytesIO(found.content)).read_all()
                total = sum(table.column(0).to_pylist())
                is_whole = (table.num_rows, total) == (one.question.rows, one.question.total)
                return "" if is_whole else "succeeded with a wrong result"
            time.sleep(0.2)
        return "succeeded without a result"

    def _patiently(
        self,
        client: httpx.Client,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response | None:
        """Ask once; None where the other side is not there just now, after a short pause."""
        url = f"/api/v1/workspaces/flight-ops{path}"
        try:
            answer = client.request(method, url, json=body, headers=headers, follow_redirects=True)
        except httpx.TransportError:
            answer = None
        if answer is None or answer.status_code in BUSY or answer.status_code == 500:
            self._stop.wait(0.2)
            return None
        return answer
