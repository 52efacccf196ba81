"""Sends rows while any process of a running Upend is killed, and looks what became of each.

Every acknowledged row must be there once, none twice, and each sender's rows in its order; of
what is upserted by key the last must have won. `make chaos-rows` does 20 senders of 500 batches.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx

from embedded.running import RunningStack
from tests.differential import live
from tests.faults import chaos
from tests.stack import manage

ROWS = 3
SETTLE_SECONDS = 300
START_SECONDS = 600
"""It is meant to run beside other work, niced, when starting takes long."""
SPARED = frozenset({"bind.child", "forkserver", "postgres", "worker query"})
"""What rows have nothing to do with; and PostgreSQL, which takes all down while it recovers."""
TARGETS = frozenset({"gunicorn", "valkey-server", "weed", "worker catalog", "writer.serving"})
"""Web, broker, storage, worker and the writer of rows: a long run must have hit each of them."""
KILLS = 200
"""About so many in a run of any length that lets them."""
FEWEST_BETWEEN = 10
MANY_KILLS = 50
SET_UP = """
import json, secrets
from datetime import timedelta
from django.conf import settings
from django.utils import timezone
from accounts import services as accounts
from accounts.domain import SYSTEM, OrganizationRole, Scope
from accounts.selectors import actor_for_user
from catalog import services as catalogs
from catalog.domain import JobKind
from catalog.models import Job
from workspaces import services as workspaces
from workspaces.domain import WorkspaceRole
organization = accounts.create_organization(actor=SYSTEM, name="Senders", slug="senders")
owner = accounts.create_user(
    actor=SYSTEM, organization=organization, email="owner@senders.example",
    password=secrets.token_urlsafe(16), organization_role=OrganizationRole.ADMIN,
)
workspace = workspaces.create_workspace(
    actor=SYSTEM, organization=organization, name="Rows", slug="rows"
)
workspaces.grant_membership(
    actor=SYSTEM, workspace=workspace, principal=owner, role=WorkspaceRole.OWNER
)
actor = actor_for_user(owner)
token = accounts.create_token(
    actor=actor, owner=owner, name="rows", scopes=frozenset(Scope),
    expires_at=timezone.now() + timedelta(days=1),
)
catalog = catalogs.create_catalog(actor=actor, workspace=workspace, name="sent")
tables = catalogs.enqueue_job(
    actor=SYSTEM, catalog=catalog, kind=JobKind.STATEMENTS, arguments={"statements": [
        "CREATE TABLE lake.main.rows (sender INTEGER, batch INTEGER, i INTEGER)",
        "CREATE TABLE lake.main.latest (sender INTEGER, batch INTEGER)",
    ]},
)
job = catalogs.wait_for_job(tables, timeout_seconds=300)
assert job.problem is None, job.problem
print(json.dumps({"token": token.text, "document": {
    "database": settings.DATABASE_URL, "s3": settings.S3,
    "lakes": {"sent": {"schema": catalog.metadata_schema, "prefix": catalog.prefix}},
}}))
"""


@dataclass
class Report:
    """What happened, and what should not have."""

    seed: int
    senders: int
    batches: int
    killed: dict[str, int] = field(default_factory=dict)
    answers: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


class Sender:
    """One that sends its rows batch by batch, each again until it is acknowledged."""

    def __init__(self, url: str, token: str, number: int, report: Report) -> None:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/x-ndjson"}
        base = f"{url}/api/v1/workspaces/rows/catalogs/sent"
        self._client = httpx.Client(base_url=base, headers=headers, timeout=20)
        self._chance = random.Random(report.seed * 1000 + number)
        self._number, self._report = number, report
        self.acknowledged: list[int] = []

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def run(self) -> None:
        """Send everything."""
        for batch in range(self._report.batches):
            rows = [{"sender": self._number, "batch": batch, "i": i} for i in range(ROWS)]
            self._send("POST", "rows", f"{self._number}-{batch}", rows)
            newest = [{"sender": self._number, "batch": batch}]
            self._send("PUT", "latest", f"{self._number}-{batch}", newest, "&key=sender")

    def _send(
        self, verb: str, table: str, key: str, rows: list[dict[str, int]], query: str = ""
    ) -> None:
        body = b"\n".join(json.dumps(row).encode() for row in rows)
        ack = self._chance.choice(["committed", "staged"])
        address = f"/tables/main/{table}/rows?ack={ack}{query}"
        while True:
            try:
                answer = self._client.request(
                    verb, address, content=body, headers={"Idempotency-Key": key}
                )
                self._count(str(answer.status_code))
                if answer.is_success:
                    self.acknowledged.append(answer.json()["id"])
                    return
            except httpx.TransportError as error:
                self._count(type(error).__name__)
            time.sleep(self._chance.uniform(0.05, 0.3))

    def _count(self, answer: str) -> None:
        self._report.answers[answer] = self._report.answers.get(answer, 0) + 1

    def unsettled(self, deadline: float) -> list[str]:
        """Wait for the commit of each acknowledged batch; return what became of the others."""
        found = []
        for batch in self.acknowledged:
            while (state := self._state(batch)) != "committed":
                if state == "rejected" or time.monotonic() > deadline:
                    found.append(f"batch {batch} of sender {self._number} is {state}")
                    break
                time.sleep(0.2)
        return found

    def _state(self, batch: int) -> str:
        try:
            answer = self._client.get(f"/batches/{batch}")
            return str(answer.json()["state"]) if answer.is_success else str(answer.status_code)
        except httpx.TransportError as error:
            return type(error).__name__


def run(stack: RunningStack, *, senders: int, batches: int, rounds: int, seed: int) -> Report:
    """Send to a running Upend while it is killed at, and say what became of the rows."""
    report = Report(seed, senders, batches)
    all_senders: list[Sender] = []
    try:
        made = json.loads(manage(stack, "shell", "-c", SET_UP).strip().splitlines()[-1])
        all_senders += [Sender(stack.url, made["token"], n, report) for n in range(senders)]
        threads = [threading.Thread(target=one.run, daemon=True) for one in all_senders]
        for thread in threads:
            thread.start()
        fire(stack, all_senders, threads, report, rounds)
        for thread in threads:
            thread.join()
        chaos.wait_until_whole(stack)
        deadline = time.monotonic() + SETTLE_SECONDS
        for one in all_senders:
            report.faults += one.unsettled(deadline)
        report.faults += wrong(made["document"], report)
    finally:
        for one in all_senders:
            one.close()
    return report


def fire(
    stack: RunningStack,
    senders: list[Sender],
    threads: list[threading.Thread],
    report: Report,
    rounds: int,
) -> None:
    """Kill one process after the other until all is sent, `rounds` at most.

    Between two kills some rows are acknowledged: a machine that is slow to start what was killed
    is shot at less often, and no run is spent on a stack that never comes up.
    """
    chance, killed = random.Random(report.seed), chaos.Report(report.seed, rounds=1)
    ends: dict[str, list[float]] = {}
    between = max(report.senders * report.batches * 2 // KILLS, FEWEST_BETWEEN)
    next_at = 0
    while rounds and any(thread.is_alive() for thread in threads):
        if sum(len(one.acknowledged) for one in senders) < next_at:
            time.sleep(0.1)
            continue
        rounds -= 1
        chaos.kill_at_random(stack, killed, chance, ends, SPARED)
        next_at = sum(len(one.acknowledged) for one in senders) + between
    report.killed = killed.killed
    if sum(killed.killed.values()) >= MANY_KILLS:
        report.faults += [f"no {name} was killed" for name in sorted(TARGETS - set(killed.killed))]


def wrong(document: dict[str, Any], report: Report) -> list[str]:
    """Return what the tables hold that they should not, or lack."""
    plain = live.connect(document)
    live.attach(plain, document, "sent")
    rows = plain.execute("SELECT sender, batch, i FROM sent.main.rows ORDER BY rowid").fetchall()
    latest = plain.execute("SELECT sender, batch FROM sent.main.latest").fetchall()
    expected = {
        (sender, batch, i)
        for sender in range(report.senders)
        for batch in range(report.batches)
        for i in range(ROWS)
    }
    found = [f"{len(expected - set(rows))} rows lost"] if expected - set(rows) else []
    if len(rows) != len(set(rows)):
        found.append(f"{len(rows) - len(set(rows))} rows twice")
    for sender in range(report.senders):
        own = [(batch, i) for who, batch, i in rows if who == sender]
        if own != sorted(own):
            found.append(f"rows of sender {sender} out of order")
    if sorted(latest) != [(sender, report.batches - 1) for sender in range(report.senders)]:
        found.append(f"upserted: {sorted(latest)}")
    return found


def main() -> int:
    """Run by hand: `python -m tests.faults.rows --senders 20 --batches 500`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--senders", type=int, default=20)
    parser.add_argument("--batches", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=10**6)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="upend-rows-", ignore_cleanup_errors=True) as place:
        Path(place).chmod(0o711)
        stack = RunningStack(Path(place) / "stack")
        stack.start(START_SECONDS)
        try:
            report = run(
                stack,
                senders=given.senders,
                batches=given.batches,
                rounds=given.rounds,
                seed=given.seed,
            )
        finally:
            stack.stop()
    sys.stdout.write(json.dumps(asdict(report), indent=2) + "\n")
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
