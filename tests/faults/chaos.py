"""Kills any process of a running Upend at random moments under load, and looks what is left.

`make chaos` does 200 rounds, the suite 20. After the last one: no query is left running, none
is said to have succeeded without its whole result, no process outlives its parent, no scratch
directory is left, and the bucket is empty once all results have had their time.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

from demo.logins import LoginBook
from embedded.running import RunningStack
from embedded.supervisor import ENDS_ALLOWED, WINDOW_SECONDS
from execution.engine import scratch
from execution.engine.forkserver import ENGINE_NAME
from tests.faults.load import Load
from tests.stack import manage

SETTLE_SECONDS = 300
PAUSES = (0.3, 3.0)
KINDS = (
    "forkserver",
    "bind.child",
    "writer.child",
    "writer.serving",
    "sandbox.relay",
    "gunicorn",
    "beat",
)
ASKERS = 4


@dataclass
class Report:
    """What happened, and what should not have."""

    seed: int
    rounds: int
    killed: dict[str, int] = field(default_factory=dict)
    queries: int = 0
    ends: dict[str, int] = field(default_factory=dict)
    orphans: list[str] = field(default_factory=list)
    leaked: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    @property
    def faults(self) -> list[str]:
        """Return everything that should not have happened."""
        wrong = [f"{count} x {end}" for end, count in self.ends.items() if end != "as it should"]
        silent = [] if self.queries else ["no query was accepted: nothing was tried"]
        return [*wrong, *silent, *self.orphans, *self.leaked, *self.refused[:5]]


def run(directory: Path, *, rounds: int, seed: int) -> Report:
    """Start Upend in `directory`, torment it for `rounds`, and say what became of it."""
    report = Report(seed=seed, rounds=rounds)
    stack = RunningStack(directory, {"UPEND_DEMO_SCALE": "0.01"})
    stack.start()
    try:
        manage(stack, "load_demo")
        token = {e.name: e.secret for e in LoginBook(directory / "demo-logins.txt")}["agent"]
        load = Load(stack.url, token, seed)
        load.start(ASKERS)
        kill_at_random(stack, report, random.Random(seed))
        load.stop()
        wait_until_whole(stack)
        report.queries, report.refused = len(load.asked), load.refused
        report.ends = load.check_all(within_seconds=SETTLE_SECONDS)
        report.leaked = leftovers(stack)
        members = family(stack)
    finally:
        stack.stop()
    _, alive = psutil.wait_procs(members, timeout=SETTLE_SECONDS)
    report.orphans = [f"{describe(p)} outlived its parents" for p in alive]
    return report


def kill_at_random(
    stack: RunningStack,
    report: Report,
    chance: random.Random,
    ends: dict[str, list[float]] | None = None,
    spared: frozenset[str] = frozenset(),
) -> None:
    """Kill one process per round, each kind as often as another, `up` itself excepted.

    A part that keeps ending makes `up` give up, as it should: each may end so often, and no more.
    `ends` are those of the rounds before, `spared` the kinds that are left alone.
    """
    ends = {} if ends is None else ends
    for _ in range(report.rounds):
        time.sleep(chance.uniform(*PAUSES))
        parts = {pid: part for part, pid in stack.processes.items()}
        kinds: dict[str, list[psutil.Process]] = {}
        for process in family(stack):
            if not has_ended_enough(ends.get(parts.get(process.pid, ""), [])):
                kinds.setdefault(describe(process), []).append(process)
        for name in {"", *spared}:
            kinds.pop(name, None)
        if not kinds:
            continue
        name = chance.choice(sorted(kinds))
        victim = chance.choice(kinds[name])
        with contextlib.suppress(psutil.NoSuchProcess):
            victim.kill()
            report.killed[name] = report.killed.get(name, 0) + 1
            if victim.pid in parts:
                ends.setdefault(parts[victim.pid], []).append(time.monotonic())


def has_ended_enough(ends: list[float]) -> bool:
    """Tell whether one more end, and one that follows from another's, would be too many."""
    recent = [end for end in ends if time.monotonic() - end < WINDOW_SECONDS + 5]
    return len(recent) >= ENDS_ALLOWED - 2


def family(stack: RunningStack) -> list[psutil.Process]:
    """Return every process below `up`."""
    assert stack.supervisor_pid is not None, "`up` gave up"
    below: list[psutil.Process] = psutil.Process(stack.supervisor_pid).children(recursive=True)
    return below


def describe(process: psutil.Process) -> str:
    """Return what kind of process it is, for people; nothing where it is gone or a zombie."""
    try:
        line, name = process.cmdline(), str(process.name())
    except psutil.Error:
        return ""
    if name == ENGINE_NAME or not line:
        return name if line else ""
    queue = next((part for part in line if part.startswith("--queues=")), "")
    if queue:
        return f"worker {queue[9:]}"
    known = (word for word in KINDS if any(word in part for part in line))
    return next(known, name)


def wait_until_whole(stack: RunningStack) -> None:
    """Wait until every part that `up` starts is there again."""
    wanted = {"beat", "postgres", "s3", "valkey", "web", "worker-catalog", "worker-query"}
    deadline = time.monotonic() + SETTLE_SECONDS
    while not wanted <= set(stack.processes):
        assert time.monotonic() < deadline, f"only {sorted(stack.processes)} came back"
        time.sleep(0.5)


def leftovers(stack: RunningStack) -> list[str]:
    """Return what the dead left behind on disk and in the bucket, after the sweeps.

    A database that was killed may still recover: what could not be looked at is looked at again.
    """
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        try:
            found = [*dead_scratch(), *kept_objects(stack)]
        except AssertionError as trouble:
            found = [f"nobody could look: {str(trouble)[-300:]}"]
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(2)


def dead_scratch() -> list[str]:
    """Return the scratch directories whose owner is dead; making one clears the others away."""
    scratch.remove(scratch.create())
    root = Path(tempfile.gettempdir()) / f"upend-engines-{os.getuid()}"
    owners = {d.name: d.name.partition("-")[0] for d in root.iterdir()}
    return [f"scratch {n}" for n, owner in owners.items() if not psutil.pid_exists(int(owner))]


def kept_objects(stack: RunningStack) -> list[str]:
    """End every result before its time, sweep, and return what the bucket still holds of them."""
    answer = manage(stack, "shell", "-c", END_ALL_RESULTS)
    found: list[str] = json.loads(answer.strip().splitlines()[-1])
    return found


END_ALL_RESULTS = """
import json
from django.conf import settings
from django.utils import timezone
from catalog import storage
from execution.models import Query
from execution.services import expiry
settings.RESULT_TTL_SECONDS = 0
Query.objects.exclude(result_key="").update(result_expires_at=timezone.now())
while expiry.expire_results():
    pass
expiry.sweep_orphans()
store = storage.hosted()
found = [f"object {key}" for key in store.keys("results/")]
parts = store.client.list_multipart_uploads(Bucket=store.bucket, Prefix="results/")
found += [f"upload {part['Key']}" for part in parts.get("Uploads", [])]
print(json.dumps(found))
"""


def main() -> int:
    """Run by hand: `python -m tests.faults.chaos --rounds 200`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    given = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="upend-chaos-"))
    place.chmod(0o711)
    report = run(place / "stack", rounds=given.rounds, seed=given.seed)
    document: dict[str, Any] = asdict(report) | {"faults": report.faults}
    sys.stdout.write(json.dumps(document, indent=2) + "\n")
    if report.faults:
        sys.stdout.write(f"Logs and data are kept in {place}\n")
        return 1
    shutil.rmtree(place, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
