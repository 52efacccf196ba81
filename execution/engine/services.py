"""Runs jobs in engine processes: in one of their own, or in one that holds their slice already."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pyarrow as pa
import structlog

from catalog.storage import StorageUnreachable
from execution.engine import reach, start
from execution.engine.destinations import endpoints_of
from execution.engine.domain import EngineSpec, Outcome, Progress
from execution.engine.problems import EngineDied, QueryOutOfMemory
from execution.engine.process import Engine, Sink
from execution.engine.sessions import REST_SECONDS, Need, Session, Sessions
from observability import metrics

AT_ONCE_SECONDS = 1.0
"""A kept engine that fails a job this soon failed for what came before it."""
SPARES = 2
"""Engines waiting in each worker process: one for the next query while another warms up."""

_spare: list[Engine] = []
_keepers: list[threading.Thread] = []
_is_wanted = threading.Event()
_lock = threading.Lock()
_sessions = Sessions()


log = structlog.get_logger(__name__)


class _Noting:
    """A sink that notes whether rows have begun to come."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.is_open = False

    def open(self, schema: pa.Schema) -> None:
        """Begin."""
        self.is_open = True
        self._sink.open(schema)

    def write(self, batch: pa.RecordBatch) -> None:
        """Take one batch."""
        self._sink.write(batch)


def run_in_session(
    need: Need,
    spec: Callable[[bool], EngineSpec],
    *,
    sink: Sink,
    seconds: float,
    on_progress: Callable[[Progress], None],
    is_cancelled: Callable[[], bool],
) -> Outcome:
    """Run a job as `run_engine` does, in an engine that has what `need` says, where one waits.

    `spec` makes the job: with its slices where it is told True, without where the engine holds
    them. An engine that ended its job well waits for the next. Where one died as it waited, or its
    earlier jobs left too little memory, or the keys that signed its addresses were revoked, it
    shows at once, and the job is not at fault: it runs in a new one then.
    """
    noting = _Noting(sink)

    def run(engine: Engine, job: EngineSpec) -> Outcome:
        return engine.run(
            job, sink=noting, seconds=seconds, on_progress=on_progress, is_cancelled=is_cancelled
        )

    began = time.monotonic()
    session = _sessions.take(need)
    metrics.ENGINE_SESSIONS.labels("miss" if session is None else "hit").inc()
    if session is not None:
        try:
            outcome = run(session.engine, spec(False))
        except (EngineDied, QueryOutOfMemory, StorageUnreachable):
            if noting.is_open or time.monotonic() - began > AT_ONCE_SECONDS:
                raise
        else:
            _sessions.keep(session)
            return outcome
    job, now = spec(True), time.monotonic()
    session = Session(need, _taken_for(job), born_at=now, idle_since=now)
    outcome = run(session.engine, job)
    _sessions.keep(session)
    return outcome


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
    engine = _taken_for(spec)
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
        _fill()


def keep_spare_soon() -> None:
    """Do the same in a moment, on a thread that stays: what it starts dies with its starter."""
    with _lock:
        if not _keepers or not _keepers[0].is_alive():  # never started, or left behind by a fork
            _keepers[:] = [threading.Thread(target=_restock_for_ever, daemon=True, name="spares")]
            _keepers[0].start()
        _is_wanted.set()


def _restock_for_ever() -> None:
    while _is_wanted.wait():
        time.sleep(REST_SECONDS)
        with _lock:
            if _is_wanted.is_set():  # else all were discarded meanwhile
                _is_wanted.clear()
                try:
                    _fill()
                except Exception:
                    log.exception("spare_not_started")


def _fill() -> None:
    """Call with the lock."""
    while len(_spare) < SPARES:
        _spare.append(Engine())
    metrics.ENGINES_SPARE.set(len(_spare))


def _taken_for(spec: EngineSpec) -> Engine:
    """Return an engine that reaches what the job's slices name, and no more than that.

    What waits reaches Upend's own store; for another's a new one is forked.
    """
    endpoints = endpoints_of(spec.slices)
    return take() if endpoints == reach.hosted() else Engine(endpoints)


def take() -> Engine:
    """Return the engine that has waited longest, where one is alive, else a new one."""
    while (engine := _longest_waiting()) is not None:
        if engine.is_alive():
            return engine
        engine.close()
    return Engine()


def _longest_waiting() -> Engine | None:
    with _lock:
        engine = _spare.pop(0) if _spare else None
        metrics.ENGINES_SPARE.set(len(_spare))
        return engine


def discard_spare() -> None:
    """End the engines that wait, those that hold a slice included."""
    _sessions.end_all()
    with _lock:
        _is_wanted.clear()
        waiting = _spare[:]
        _spare.clear()
    for engine in waiting:
        engine.close()
