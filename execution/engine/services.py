"""Runs one job in one process, taking a warmed one where there is one."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from execution.engine.domain import EngineSpec, Outcome, Progress
from execution.engine.process import Engine, Sink

_spare: list[Engine] = []
_lock = threading.Lock()


def run_engine(
    spec: EngineSpec,
    *,
    sink: Sink,
    seconds: float,
    on_progress: Callable[[Progress], None],
    is_cancelled: Callable[[], bool],
) -> Outcome:
    """Run `spec` in a process of its own and write its rows to `sink`.

    `on_progress` and `is_cancelled` are called on the caller's thread at least every 0.25 s;
    what they raise ends the run. Raises `QueryCancelled`, `QueryTimeout`, `QueryOutOfMemory`,
    `QueryFailed`, `StorageUnreachable`, `EngineDied`, or what the sink raised. The process and
    all it started are gone when this returns.
    """
    return take().run(
        spec, sink=sink, seconds=seconds, on_progress=on_progress, is_cancelled=is_cancelled
    )


def keep_spare() -> None:
    """Start an engine now, so that the next run finds one with everything loaded.

    Call it on the process's main thread: a spare lives only as long as the thread that made it.
    """
    with _lock:
        if not _spare:
            _spare.append(Engine())


def take() -> Engine:
    """Return the spare engine where it is alive, else a new one."""
    with _lock:
        engine = _spare.pop() if _spare else None
    if engine is not None and engine.is_alive():
        return engine
    if engine is not None:
        engine.close()
    return Engine()


def discard_spare() -> None:
    """End the spare engine, if any."""
    with _lock:
        engine = _spare.pop() if _spare else None
    if engine is not None:
        engine.close()


def threads_of_this_machine() -> int:
    """Return the processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
