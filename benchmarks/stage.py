"""A running Upend for benchmarks: its processes, and this process's Django pointed at it."""

from __future__ import annotations

import json
import os
import platform
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import django

from embedded.running import RunningStack

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"


@dataclass
class Stage:
    """What a benchmark needs: the address, a token, a workspace and who acts in it."""

    running: RunningStack
    url: str
    token: str
    workspace: Any
    actor: Any

    def catalog(self, name: str) -> dict[str, Any]:
        """Create an empty catalog and return how plain DuckDB reaches it."""
        from django.conf import settings

        from catalog import services as catalog
        from catalog.models import Job

        created = catalog.create_catalog(actor=self.actor, workspace=self.workspace, name=name)
        job = catalog.wait_for_job(Job.objects.get(catalog=created), timeout_seconds=60)
        assert job.problem is None, job.problem
        return {
            "database": settings.DATABASE_URL,
            "s3": settings.S3,
            "lakes": {name: {"schema": created.metadata_schema, "prefix": created.prefix}},
        }


@contextmanager
def stage() -> Iterator[Stage]:
    """Start Upend in a throwaway directory, make an organization in it, stop it at the end."""
    with tempfile.TemporaryDirectory(prefix="upend-bench-") as directory:
        running = RunningStack(Path(directory) / "stack")
        os.environ["UPEND_CONFIG_DIR"] = f"{directory}/client"
        running.start()
        try:
            os.environ.update(running.environment)
            os.environ["UPEND_LOG_LEVEL"] = "WARNING"  # of this process, not of the stack
            django.setup()
            yield _organization(running)
        finally:
            running.stop()


def _organization(running: RunningStack) -> Stage:
    from accounts import services as accounts
    from accounts.domain import SYSTEM, OrganizationRole, Scope
    from accounts.selectors import actor_for_user
    from workspaces import services as workspaces
    from workspaces.domain import WorkspaceRole

    organization = accounts.create_organization(
        actor=SYSTEM, name="Benchmarks", slug="benchmarks", auto_approve_devices=True
    )
    owner = accounts.create_user(
        actor=SYSTEM,
        organization=organization,
        email="owner@benchmarks.example",
        password=secrets.token_urlsafe(16),
        organization_role=OrganizationRole.ADMIN,
    )
    workspace = workspaces.create_workspace(
        actor=SYSTEM, organization=organization, name="Bench", slug="bench"
    )
    workspaces.grant_membership(
        actor=SYSTEM, workspace=workspace, principal=owner, role=WorkspaceRole.OWNER
    )
    workspace.max_scan_bytes = 10**15
    workspace.save(update_fields=["max_scan_bytes"])
    actor = actor_for_user(owner)
    token = accounts.create_token(
        actor=actor,
        owner=owner,
        name="benchmarks",
        scopes=frozenset(Scope),
        expires_at=datetime.now(UTC) + timedelta(days=1),
    )
    return Stage(running, running.url, token.text, workspace, actor)


def milliseconds(work: Callable[[], object], *, runs: int, warmup: int = 3) -> list[float]:
    """Return how long each of `runs` calls took."""
    for _ in range(warmup):
        work()
    found = []
    for _ in range(runs):
        started = time.perf_counter()
        work()
        found.append((time.perf_counter() - started) * 1000)
    return found


def alternately(*works: Callable[[], object], runs: int, warmup: int = 3) -> list[list[float]]:
    """Return how long each of `runs` calls of each took, by turns: a busy moment slows them all."""
    found: list[list[float]] = [[] for _ in works]
    for number in range(warmup + runs):
        for times, work in zip(found, works, strict=True):
            started = time.perf_counter()
            work()
            if number >= warmup:
                times.append((time.perf_counter() - started) * 1000)
    return found


def percentiles(values: list[float]) -> dict[str, float]:
    """Return the median and the 95th percentile."""
    ordered = sorted(values)
    at = min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))
    return {"p50_ms": round(statistics.median(ordered), 2), "p95_ms": round(ordered[at], 2)}


def machine() -> dict[str, Any]:
    """Name the machine, and how busy it was of late: figures mean little without."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_average": [round(load, 1) for load in os.getloadavg()],
    }


def save(name: str, figures: dict[str, Any]) -> None:
    """Print the figures, and keep them beside the name of the machine."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(show(name, figures))


def show(name: str, figures: dict[str, Any]) -> str:
    """Print the figures with the name of the machine, and return what was printed."""
    document = {
        "benchmark": name,
        "command": f"make bench  (or python -m benchmarks.{name})",
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "figures": figures,
    }
    text = json.dumps(document, indent=2) + "\n"
    sys.stdout.write(text)
    return text
