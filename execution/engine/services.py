"""Runs jobs in engine processes: in one of their own, or in one that holds their slice already."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pyarrow as pa
import structlog

from catalog.storage import StorageUnreachable
from execution.engine import messages, reach, start
from execution.engine.destinations import endpoints_of
from execution.engine.domain import EngineSpec, Outcome, Progress
from execution.engine.needs import Need
from execution.engine.problems import EngineDied, QueryOutOfMemory
from execution.engine.process import Engine, Sink
from execution.engine.sessions import AHEAD_SECONDS, REST_SECONDS, Session, Sessions
from observability import metrics

AT_ONCE_SECONDS = 1.0
"""A kept engine that fails a job this soon failed for what came before it."""
SOCKET_BYTES = 2**16
"""What a socket takes before anyone reads from it, on Linux and well within its default."""
SPARES = 2
"""Engines waiting in each worker process: one for the next query while another warms up."""

_spare: list[Engine] = []
_keepers: list[threading.Thread] = []
_is_wanted = threading.Event()
_lock = threading.Lock()
_sessions = Sessions()
_at_work: set[int] = set()
"""The threads of this process that wait for an engine's rows."""


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

    _at_work.add(threading.get_ident())
    try:
        return _run_in_session(need, spec, run, noting)
    finally:
        _at_work.discard(threading.get_ident())


def _run_in_session(
    need: Need,
    spec: Callable[[bool], EngineSpec],
    run: Callable[[Engine, EngineSpec], Outcome],
    noting: _Noting,
) -> Outcome:
    """Run a job in the engine that covers its need, or in a new one; either is kept."""
    began = time.monotonic()
    session = _sessions.take(need)
    metrics.ENGINE_SESSIONS.labels(_found(session)).inc()
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


def _found(session: Session | None) -> str:
    if session is None:
        return "miss"
    return "ahead" if session.is_ahead else "hit"


def attach_ahead(
    need: Need,
    *,
    is_worth_it: Callable[[], bool],
    spec: Callable[[], EngineSpec],
    is_granted: Callable[[], bool],
) -> bool:
    """Give a waiting engine the slices that a query needs which is about to come; tell whether so.

    Nothing runs in it: it waits for a second as engines do that are kept, and `run_in_session`
    gives it to a query that it covers. `spec` makes a job without SQL. The engine is ended where
    `is_granted`, asked while it attaches, says no. It is never the last one that waits, so that
    whoever comes meanwhile finds one too.
    """
    coming = _sessions.expect(need)
    if coming is None:
        return False
    engine, is_kept = None, False
    try:
        engine = _attaching(spec()) if is_worth_it() else None
        if engine is not None and is_granted():
            now = time.monotonic()
            session = Session(need, engine, born_at=now, idle_since=now, is_ahead=True)
            is_kept = _sessions.arrive(coming, session)
    finally:
        _sessions.forget(coming)
        if engine is not None:
            _look_after(engine, is_kept=is_kept)
    return is_kept


def _attaching(spec: EngineSpec) -> Engine | None:
    """Return an engine that is attaching the slices of `spec`, where one can be spared.

    What does not fit into a socket that nobody reads is left: an engine that hangs holds up nobody.
    """
    job = messages.packed(spec.as_dict())
    if len(job) > SOCKET_BYTES or endpoints_of(spec.slices) != reach.hosted():
        return None
    engine = _one_to_spare()
    if engine is None or engine.attach(job, spec.copies):
        return engine
    engine.close()
    return None


def _look_after(engine: Engine, *, is_kept: bool) -> None:
    """See to it that an engine ends for which no query comes, and that another one waits."""
    metrics.ENGINES_AHEAD.labels("attached" if is_kept else "dropped").inc()
    if not is_kept:
        engine.close()
        keep_spare_soon()
        return
    look = threading.Timer(AHEAD_SECONDS + REST_SECONDS, _end_lapsed)
    look.daemon = True
    look.start()


def _end_lapsed() -> None:
    _sessions.end_old()
    keep_spare_soon()


def attached_ahead() -> int:
    """Return how many engines hold, or are being given, a slice for a query that has not come."""
    return _sessions.ahead


def running() -> int:
    """Return how many queries run in engines of this process."""
    return len(_at_work)


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


def _one_to_spare() -> Engine | None:
    """Return the engine that has waited longest, unless no other one would wait then."""
    engine = _longest_waiting(others=1)
    if engine is not None and not engine.is_alive():
        engine.close()
        return None
    return engine


def _longest_waiting(*, others: int = 0) -> Engine | None:
    """Take out the engine that has waited longest, where so many others wait besides."""
    with _lock:
        engine = _spare.pop(0) if len(_spare) > others else None
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
