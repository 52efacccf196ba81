"""The connection check: named steps in order, each with its outcome, timing and fix.

It writes into one folder below the bucket's prefix and leaves nothing behind; it reaches nothing
that the bucket's row does not name, and ends in time whatever the storage does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from botocore.exceptions import BotoCoreError, ClientError

from catalog.buckets import borrowing, objects, reaching, signed
from catalog.buckets.probe import Probe
from catalog.buckets.report import Finding, Outcome, Report, Step, StepEnded
from catalog.models import Bucket
from catalog.storage import Credentials
from problems import Problem

DEADLINE_SECONDS = 30.0
"""No step begins later; one takes 12 seconds at most."""


@dataclass(frozen=True, slots=True)
class Named:
    """One step: what it is called, what it does, and which steps it cannot do without."""

    name: str
    title: str
    run: Callable[[Probe], str]
    needs: tuple[str, ...] = ()


REACHED = ("resolve", "tls", "key")
LENT = (*REACHED, "assume_role")
STEPS = (
    Named("resolve", "Resolve the endpoint", reaching.resolve),
    Named("tls", "TLS", reaching.tls, ("resolve",)),
    Named("clock", "Clock skew", reaching.clock, ("resolve", "tls")),
    Named("key", "Term of the key", borrowing.term),
    Named("assume_role", "Assume the role", borrowing.assume_role, REACHED),
    Named("external_id", "Refused without the external ID", borrowing.external_id, LENT),
    Named("region", "Region", objects.region, (*LENT, "clock")),
    Named("list", "List", objects.list_objects, (*LENT, "clock", "region")),
    Named("put", "Put", objects.put, (*LENT, "list")),
    Named("range", "Get by range", objects.get_range, (*LENT, "list", "put")),
    Named("multipart", "Multipart upload", objects.multipart, (*LENT, "list", "put")),
    Named("presign_get", "Presigned GET", signed.presign_get, (*LENT, "list", "put")),
    Named("presign_head", "Presigned GET refuses HEAD", signed.presign_head, ("presign_get",)),
    Named("public_endpoint", "Public endpoint", signed.public_endpoint, ("presign_get",)),
    Named("cors", "CORS for the console", signed.cors, (*LENT, "list", "put")),
    Named("delete", "Delete", objects.delete, (*LENT, "list", "put")),
    Named(
        "outside_prefix", "Outside the prefix is refused", objects.outside_prefix, (*LENT, "list")
    ),
)


def run_check(
    bucket: Bucket,
    key: Credentials | None,
    *,
    origin: str,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    deadline_seconds: float = DEADLINE_SECONDS,
) -> Report:
    """Return what a check of `bucket` by `key` finds; `origin` is where the console is served."""
    probe = Probe(bucket, key, origin, now)
    begun = time.monotonic()
    try:
        steps = list(_steps(probe, begun + deadline_seconds))
    finally:
        _clean_up(probe)
    return Report(now(), steps)


def _steps(probe: Probe, deadline: float) -> Iterator[Step]:
    failed: dict[str, str] = {}  # each with the title of the step at fault
    for named in STEPS:
        if cause := next((failed[name] for name in named.needs if name in failed), ""):
            step = _skipped(named, f"Needs “{cause}”.")
            failed[named.name] = cause
        elif time.monotonic() > deadline:
            step = _skipped(named, "No time was left: the storage is slow.")
        else:
            step = _run(named, probe)
        if step.outcome is Outcome.FAILED:
            failed[named.name] = named.title
        yield step


def _run(named: Named, probe: Probe) -> Step:
    begun = time.perf_counter()
    outcome, finding = Outcome.PASSED, Finding("")
    try:
        finding = Finding(named.run(probe))
    except StepEnded as ended:
        outcome, finding = ended.outcome, ended.finding
    except Problem as problem:
        outcome, finding = Outcome.FAILED, Finding(problem.detail, problem.hint)
    took = round((time.perf_counter() - begun) * 1000)
    return Step(named.name, named.title, outcome, took, finding.found, finding.fix, finding.paste)


def _skipped(named: Named, why: str) -> Step:
    return Step(named.name, named.title, Outcome.SKIPPED, 0, why)


def _clean_up(probe: Probe) -> None:
    """Remove what a step that failed half-way has left; the step `delete` tells what it could."""
    if not probe.bucket.is_read_only and "store" in vars(probe):
        with suppress(BotoCoreError, ClientError, Problem):
            objects.sweep(probe)
