"""Denial of service with the gate out of the way: the process boundary alone holds each case."""

from __future__ import annotations

import contextlib
import time

import pytest

from execution.engine.problems import (
    EngineDied,
    QueryCancelled,
    QueryFailed,
    QueryOutOfMemory,
    QueryTimeout,
)
from problems import Problem
from tests.execution.test_run_engine import run
from tests.patience import slowness
from tests.security.corpus import ATTACKS, Attack

CASES = [a for a in ATTACKS if a.category == "dos"]
SECONDS = 2.0
ENDING_SECONDS = 3.0
"""From the deadline to the end of `run_engine`: a kill, whatever the engine is busy with."""

NEXT_SECONDS = 5.0
CONTAINED = (EngineDied, QueryFailed, QueryOutOfMemory, QueryTimeout)


@pytest.mark.parametrize("attack", CASES, ids=lambda attack: attack.id)
def test_it_ends_in_time_and_leaves_the_next_run_alone(attack: Attack) -> None:
    usual, times = _seconds_of_a_run(), slowness()
    started = time.monotonic()
    # Some finish on a fast machine: what counts is that the worker gets its thread back.
    with contextlib.suppress(*CONTAINED):
        run(attack.sql, seconds=SECONDS, memory_bytes=2**28, temp_bytes=10**8, cpu_seconds=10)
    ended, next_one = time.monotonic(), _seconds_of_a_run()
    times = max(times, slowness())  # what else the machine does now counts too
    assert ended - started < SECONDS + ENDING_SECONDS * times + 2 * usual
    assert next_one < max(NEXT_SECONDS * times, 2 * usual)


@pytest.mark.parametrize("attack", [a for a in CASES if not a.code], ids=lambda attack: attack.id)
def test_it_is_cancelled_at_once(attack: Attack) -> None:
    """Cancelling kills: functions that ignore `interrupt()` are no longer than others."""
    wished_at = time.monotonic() + 0.5
    try:
        run(attack.sql, seconds=30, is_cancelled=lambda: time.monotonic() > wished_at)
    except Problem as problem:
        assert isinstance(problem, (QueryCancelled, *CONTAINED))  # noqa: PT017 - any of these
        took = time.monotonic() - wished_at
        assert took < ENDING_SECONDS * slowness()


def _seconds_of_a_run() -> float:
    started = time.monotonic()
    assert run("SELECT 1 AS one").rows == 1
    return time.monotonic() - started
