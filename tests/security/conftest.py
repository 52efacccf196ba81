"""A whole running Upend that holds what the corpus is about, and someone who attacks it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from embedded.running import RunningStack
from tests.patience import LONG_SECONDS

ROOT = Path(__file__).parents[2]
API = "/api/v1/workspaces/corpus"
FINAL = {"cancelled", "failed", "succeeded"}
SEEDING_SECONDS = 600


@dataclass
class Target:
    """A running Upend as one of its members meets it."""

    stack: RunningStack
    seeded: dict[str, str]
    http: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        headers = {"Authorization": f"Bearer {self.seeded['attacker']}"}
        self.http = httpx.Client(base_url=self.stack.url, headers=headers, timeout=60)

    def submit(self, sql: str, **members: Any) -> httpx.Response:
        """Ask for a query, unqualified names looked up in `shop`."""
        body = {"sql": sql, "catalog": "shop"} | members
        return self.http.post(f"{API}/queries", json=body)

    def finished(self, submitted: httpx.Response, seconds: float = LONG_SECONDS) -> dict[str, Any]:
        """Wait for the end of a query that was accepted, and return it."""
        assert submitted.status_code == 201, submitted.text
        address = f"{API}/queries/{submitted.json()['id']}"
        deadline = time.monotonic() + seconds
        while True:
            query: dict[str, Any] = self.http.get(address).json()
            if query["state"] in FINAL:
                return query
            assert time.monotonic() < deadline, f"the query is {query['state']} for too long"
            time.sleep(0.05)

    def rows(self, sql: str) -> list[list[Any]]:
        """Run a query that must succeed, and return its rows."""
        query = self.finished(self.submit(sql))
        assert query["state"] == "succeeded", query["problem"]
        page = self.http.get(f"{API}/queries/{query['id']}/result").json()
        return list(page["rows"])


def files_below(root: Path) -> list[Path]:
    """Return the files below a directory; what goes while it is looked at is passed over."""
    return [Path(place, name) for place, _, names in os.walk(root) for name in names]


@pytest.fixture(scope="session")
def target(stack: RunningStack) -> Generator[Target]:
    """Seed the running stack, once."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.security.seed"],
        env=stack.environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SEEDING_SECONDS,
        check=False,
    )
    told = stack.log.read_text(errors="replace")[-4000:]
    assert done.returncode == 0, done.stdout + done.stderr + told
    found = Target(stack, json.loads(done.stdout.splitlines()[-1]))
    yield found
    found.http.close()
