"""Waits for what another process or thread does: for the condition itself, never for a while.

Nothing that happens on the other side of a boundary is looked at once: it is there "about now".
A test waits until it is, for many times as long as an idle machine takes, and fails if it never
comes. A bound that is a promise of the product is none of these: it is asserted where it is made,
in seconds of a machine that has a processor for it (`slowness`).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import TypeVar

import psutil
import pytest

Found = TypeVar("Found")

LONG_SECONDS = 120.0
"""What takes a second or two on an idle machine takes no longer on the busiest."""
PAUSE_SECONDS = 0.05
WORK_SECONDS = 0.2


def until(
    look: Callable[[], Found],
    otherwise: str,
    *,
    seconds: float = LONG_SECONDS,
    pause_seconds: float = PAUSE_SECONDS,
) -> Found:
    """Return the first true thing that `look` finds; fail with `otherwise` where none comes."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > deadline:
            pytest.fail(f"{otherwise} within {seconds:.0f} s; last seen: {found!r}")
        time.sleep(pause_seconds)
    return found


def until_ended(pid: int) -> None:
    """Wait until a process has ended, whether or not its parent has taken note of it."""
    until(lambda: not runs(pid), f"the process {pid} did not end")


def runs(pid: int) -> bool:
    """Tell whether a process is there and no zombie."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    return False


def slowness() -> float:
    """Return how many times longer things take now than where a processor were free for them.

    By a moment's work: 1.0 where nobody else uses the machine.
    """
    began, used = time.monotonic(), time.thread_time()
    while (worked := time.thread_time() - used) < WORK_SECONDS:
        sum(range(10_000))
    return max(1.0, (time.monotonic() - began) / worked)
