"""A worker's part of a query: claim it, rebuild its slices, run the engine, write down the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

import structlog
from redis.client import Pipeline

from catalog import storage
from execution import masking, observed, slices, stores
from execution.authorization import ON_SERVER, SERVER, authorize_again
from execution.domain import QueryState
from execution.engine.domain import EngineSpec, Outcome, Progress, threads_of_this_machine
from execution.engine.needs import Need
from execution.engine.services import run_in_session
from execution.machine import Machine
from execution.models import Query
from execution.notices.hub import Follower, changes
from execution.results import at_hand
from execution.results.arrow_file import ArrowFile
from execution.results.landing import Landing, NotLanded
from execution.services import admission, lifecycle, notices
from execution.services.expiry import make_room
from execution.services.lifecycle import Claim
from execution.services.queue import wake_another
from execution.services.results import at_hand_name
from execution.weight import SLOT_BYTES
from observability import steps, tracing
from problems import Problem

BEAT_SECONDS = 1.0
LOOK_SECONDS = 1.0
LOOK_DEAF_SECONDS = 0.2
TELL_SECONDS = 0.2
SCRATCH_PER_MEMORY = 4
URL_GRACE_SECONDS = 60

log = structlog.get_logger(__name__)


class RunFailed(Problem):
    """Upend itself failed while it ran the query."""

    code = "run-failed"
    status = 500
    title = "The query could not be run"


class Pulse:
    """Tells how far a run is, and hears the wish to cancel; both cost the database little.

    Followers hear of progress five times a second; the row has it once a second. The row is asked
    about the wish to cancel when a notice says so, and now and then because notices get lost.
    """

    def __init__(self, held: Claim, follower: Follower) -> None:
        self._held, self._follower = held, follower
        self._beaten_at = self._told_at = self._looked_at = time.monotonic()  # the claim did both
        self._told: Progress | None = None

    def beat(self, progress: Progress) -> None:
        """Take the latest progress."""
        now = time.monotonic()
        if now - self._told_at >= TELL_SECONDS and progress != self._told:
            self._told_at, self._told = now, progress
            notices.tell_progress(self._held.query.id, progress)
        if now - self._beaten_at >= BEAT_SECONDS:
            self._beaten_at = now
            lifecycle.heartbeat(self._held, progress)

    def is_cancelled(self) -> bool:
        """Tell whether the run should stop."""
        now = time.monotonic()
        pause = LOOK_SECONDS if self._follower.is_heard else LOOK_DEAF_SECONDS
        if not self._follower.has_news() and now - self._looked_at < pause:
            return False
        self._looked_at = now
        return lifecycle.should_stop(self._held)


def run_queries(
    machine: Machine,
    *,
    after_each: Callable[[], None] = lambda: None,
    is_stopping: Callable[[], bool] = lambda: False,
) -> int:
    """Run what is admissible on this machine, one after the other, until nothing is; count it.

    `after_each` is called when a run has ended, however it did; once `is_stopping` says so,
    nothing more is begun. Each step tells another slot to look too, here or elsewhere, while
    something waits: the end of one query may make room for several.
    """
    count = 0
    while not is_stopping():
        held, others_wait = admission.admit(machine=machine)
        if others_wait and (held or count):
            wake_another()
        if held is None:
            return count
        count += 1
        try:
            carry_out(held)
        finally:
            after_each()
    if count:
        wake_another()  # to take what this one leaves
    return count


def run_query(query_id: UUID, *, worker: str) -> None:
    """Run one queued query to its end, whoever's turn it is; nothing where another has it."""
    held = lifecycle.claim(query_id=query_id, worker=worker)
    if held is not None:
        carry_out(held)


def carry_out(held: Claim) -> None:
    """Run a claimed query to its end.

    Whatever ends the run is in the row afterwards. Only a database that is gone raises: then
    the row keeps its last heartbeat, and a sweep gives the query to another worker.
    """
    with observed.run(held.query, attempt=held.attempt):
        _carry_out(held)


def _carry_out(held: Claim) -> None:
    file = ArrowFile(storage.hosted(), result_key(held.query))
    try:
        _run(held, file)
    except Problem as problem:
        tracing.failed(problem.code)
        file.abort()
        if not (getattr(problem, "outgrew_limit", False) and lifecycle.grow(held=held)):
            told = stores.explained(problem, held.query.execution)
            lifecycle.fail(held=held, problem=told)
    except Exception:
        log.exception("run_failed")
        tracing.failed(RunFailed.code)
        file.abort()
        unexpected = RunFailed(
            "Upend met an unexpected error while it ran the query.",
            hint="Run it again; the query's id leads an operator to the cause.",
        )
        lifecycle.fail(held=held, problem=unexpected)
    make_room(held.query.workspace)


def result_key(query: Query) -> str:
    """Return where a query's rows are kept."""
    return f"results/{query.workspace_id}/{query.id}.arrow"


def _run(held: Claim, file: ArrowFile) -> None:
    authorize_again(held.principal, held.query, ON_SERVER, SERVER)
    with changes().follow(held.query.id) as follower, storage.hosted().translated():
        pulse = Pulse(held, follower)
        with steps.run("engine"):
            outcome = run_in_session(
                session_need(held.query),
                lambda with_slices: engine_spec(held.query, with_slices=with_slices),
                sink=file,
                seconds=held.query.workspace.query_timeout_seconds,
                on_progress=pulse.beat,
                is_cancelled=pulse.is_cancelled,
            )
            observed.engine(outcome)
        ended = _finish(held, file, outcome)
    if not ended:
        _forget_unless_another_runs(held.query)


def _finish(held: Claim, file: ArrowFile, outcome: Outcome) -> bool:
    """Say that the run succeeded, once its rows are in the bucket; False for a lost claim."""
    rows = file.end()
    if rows is None:
        with steps.run("upload"):
            size = file.commit()
        return _succeed(held, outcome, size)
    landing = Landing(file.commit)
    succeed = partial(
        _succeed,
        held,
        outcome,
        len(rows),
        at_hand=at_hand.kept(at_hand_name(held.query, held.attempt), rows),
    )
    try:
        ended = succeed(landed=landing.check)
    except NotLanded:
        with steps.run("upload"):
            landing.wait()
        return succeed()
    landing.wait()  # for who lost the claim: the object must be there to be deleted
    return ended


def _succeed(
    held: Claim,
    outcome: Outcome,
    size: int,
    landed: Callable[[], None] = lambda: None,
    at_hand: Callable[[Pipeline], object] | None = None,
) -> bool:
    with steps.run("finish"):
        return lifecycle.succeed(
            held=held,
            outcome=outcome,
            result_key=result_key(held.query),
            result_bytes=size,
            landed=landed,
            at_hand=at_hand,
        )


def _forget_unless_another_runs(query: Query) -> None:
    """Delete the rows of a run that lost its claim, where no later attempt wrote them."""
    ended = Query.objects.filter(id=query.id, state__in=[QueryState.CANCELLED, QueryState.FAILED])
    if ended.exists():
        storage.hosted().delete(result_key(query))


def session_need(query: Query) -> Need:
    """Return what the query needs of its engine."""
    return Need.of(
        slices.with_every_column(query.execution),
        principal=str(query.user_id or query.service_account_id),
        workspace=str(query.workspace_id),
        memory_bytes=memory_of(query),
    )


def memory_of(query: Query) -> int:
    """Return the memory that the query's engine may use: what admission set aside for it."""
    return min(SLOT_BYTES + query.slot_bytes, query.workspace.query_memory_bytes)


def engine_spec(query: Query, *, with_slices: bool = True) -> EngineSpec:
    """Return the engine's job: the slices of the plan as it was made, sealed URLs, the limits."""
    workspace = query.workspace
    threads = threads_of_this_machine()
    address = stores.Sealed(seconds=workspace.query_timeout_seconds + URL_GRACE_SECONDS)
    built: list[dict[str, Any]] = []
    if with_slices:
        with steps.run("slice"):
            record = slices.with_every_column(query.execution)
            built = slices.build(record, locate=address).slices
    return EngineSpec(
        sql=query.execution.get("sql", query.sql),
        slices=built,
        search_path=query.execution["search_path"],
        max_rows=workspace.max_result_rows,
        max_bytes=workspace.max_result_bytes,
        memory_bytes=memory_of(query),
        threads=threads,
        temp_bytes=workspace.query_memory_bytes * SCRATCH_PER_MEMORY,
        cpu_seconds=workspace.query_timeout_seconds * threads,
        is_heavy=query.is_heavy,
        mask_key=masking.key_for(query.execution, workspace.organization_id) if with_slices else "",
        copies=address.copies,
    )
