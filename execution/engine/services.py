"""Runs one job in one process, taking a warmed one where there is one."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from execution.engine import start
from execution.engine.domain import EngineSpec, Outcome, Progress
from execution.engine.process import Engine, Sink

SPARES = 2
"""Engines waiting in each worker process: one for the next query while another warms up."""

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
    engine = take()
    try:
        return engine.run(
            spec, sink=sink, seconds=seconds, on_progress=on_progress, is_cancelled=is_cancelled
        )
    finally:
        engine.close()


def warm() -> None:
    """Start what forks engines. Call it on the process's main thread: it dies with its starter."""
    start.warm()


def keep_spare() -> None:
    """Start engines until enough wait, so that the next run finds one with everything loaded."""
    with _lock:
        while len(_spare) < SPARES:
            _spare.append(Engine())


def take() -> Engine:
    """Return the engine that has waited longest, where one is alive, else a new one."""
    while (engine := _longest_waiting()) is not None:
        if engine.is_alive():
            return engine
        engine.close()
    return Engine()


def _longest_waiting() -> Engine | None:
    with _lock:
        return _spare.pop(0) if _spare else None


def discard_spare() -> None:
    """End the engines that wait."""
    with _lock:
        waiting = _spare[:]
        _spare.clear()
    for engine in waiting:
        engine.close()


def threads_of_this_machine() -> int:
    """Return the processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
