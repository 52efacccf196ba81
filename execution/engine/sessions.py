"""Keeps the locked engine of a query for the next ones that its slice covers.

A burst of questions about the same tables pays for the slice once, and reads from a warm file
cache. An engine is handed on only to the principal who had it, only for tables that it shows the
same way at the same snapshot, and only for columns and files that its slice holds: nothing comes
within reach that a slice of the new query's own would not hold, but for the rest of what the same
principal was granted a moment ago under the same rights. Every query is decided afresh before.

An engine may also hold its slice *ahead* of its first query, for a second. One principal has one
such engine at a time, and for a while none after one that nothing came for.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path

from execution.engine.needs import Need
from execution.engine.process import Engine
from observability import metrics

IDLE_SECONDS = 10.0
"""A burst is over when nothing came for so long."""
LIFE_SECONDS = 45.0
"""Less than the grace by which URLs in a slice outlive the longest run."""
KEPT_AT_MOST = 4
REST_SECONDS = 0.05
"""To end an engine, or to start one, takes a processor: first, who waits for the rows of the last
query gets them."""
AHEAD_SECONDS = 1.0
"""How long an engine waits for the query that its slice was attached for."""
AHEAD_AT_MOST = 2
LAPSE_SECONDS = 10.0
"""Whose last engine waited for nothing gets no other one for so long: plans that are refused, and
queries that other workers run, cost an engine each."""
RESIDENT_BYTES = 768 * 2**20
"""An engine that holds more memory than this is not worth keeping while it waits."""


@dataclass(slots=True)
class Session:
    """An engine with a slice, between two queries."""

    need: Need
    engine: Engine
    born_at: float
    idle_since: float
    is_ahead: bool = False
    """Whether no query has come yet."""

    def is_over(self, now: float) -> bool:
        """Tell whether it has waited, or lived, for long enough."""
        patience = AHEAD_SECONDS if self.is_ahead else IDLE_SECONDS
        return now - self.idle_since > patience or now - self.born_at > LIFE_SECONDS


@dataclass(slots=True, eq=False)
class Coming:
    """A need that an engine is being given its slice for, ahead of the query."""

    need: Need
    is_late: bool = False
    """Whether the query came first, and took another engine."""


class Sessions:
    """The waiting sessions of one worker process; what is taken out is nobody else's."""

    def __init__(self) -> None:
        self._waiting: list[Session] = []
        self._coming: list[Coming] = []
        self._lapsed_at: dict[str, float] = {}
        self._timer: threading.Timer | None = None
        self._lock = threading.Lock()

    def take(self, need: Need) -> Session | None:
        """Return the freshest living session that covers `need`, and end those that are over."""
        self.end_old()
        while (session := self._covering(need)) is not None:
            if session.engine.is_alive():
                return session
            _close_aside([session])
        return None

    def expect(self, need: Need) -> Coming | None:
        """Note that an engine gets its slice ahead of its query; None where none should.

        Call `arrive` or `forget` next.
        """
        self.end_old()
        with self._lock:
            if not self._may_expect(need):
                return None
            coming = Coming(need)
            self._coming.append(coming)
            return coming

    def arrive(self, coming: Coming, session: Session) -> bool:
        """Let an engine with its slice wait for its query; False where that has come already."""
        with self._lock:
            self._coming.remove(coming)
            if coming.is_late:
                return False
            self._waiting.append(session)
            return True

    def forget(self, coming: Coming) -> None:
        """Note that no engine gets that slice."""
        with self._lock:
            if coming in self._coming:
                self._coming.remove(coming)

    @property
    def ahead(self) -> int:
        """Return how many engines have, or are being given, a slice ahead of their query."""
        with self._lock:
            return len(self._needs_ahead())

    def keep(self, session: Session) -> None:
        """Let a session wait for the next query; the longest waiting one makes room."""
        is_big = _resident_bytes(session.engine.pid) > RESIDENT_BYTES
        if is_big or not session.engine.catch_up():
            session.engine.close()  # at once: its memory is promised to the next query
            return
        session.idle_since, session.is_ahead = time.monotonic(), False
        with self._lock:
            self._waiting.append(session)
            kept = [one for one in self._waiting if not one.is_ahead]
            surplus = kept[:-KEPT_AT_MOST]
            for one in surplus:
                self._waiting.remove(one)
            self._look_again()
        _close_aside(surplus)

    def end_old(self) -> None:
        """End the sessions whose time is over."""
        now = time.monotonic()
        with self._lock:
            old = [session for session in self._waiting if session.is_over(now)]
            self._waiting = [session for session in self._waiting if not session.is_over(now)]
            for session in old:
                if session.is_ahead:
                    self._lapsed_at[session.need.principal] = now
                    metrics.ENGINES_AHEAD.labels("lapsed").inc()
            self._look_again()
        _close_aside(old)

    def _look_again(self) -> None:
        """See to it that the last one is ended too, when no query comes. Call with the lock."""
        metrics.ENGINES_KEPT.set(len(self._waiting))
        if self._timer is None and self._waiting:
            oldest = min(session.idle_since for session in self._waiting)
            pause = oldest + IDLE_SECONDS - time.monotonic() + 1
            self._timer = threading.Timer(max(1.0, pause), self._when_due)
            self._timer.daemon = True
            self._timer.start()

    def _when_due(self) -> None:
        """End what is over, and set the clock for what was kept meanwhile."""
        with self._lock:
            self._timer = None
        self.end_old()

    def end_all(self) -> None:
        """End every waiting session."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
            self._look_again()
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        _close(waiting)

    def _may_expect(self, need: Need) -> bool:
        """Tell whether one more may get its slice ahead. Call with the lock."""
        ahead, now = self._needs_ahead(), time.monotonic()
        self._lapsed_at = {
            who: at for who, at in self._lapsed_at.items() if now - at < LAPSE_SECONDS
        }
        if len(ahead) >= AHEAD_AT_MOST or need.principal in self._lapsed_at:
            return False
        if any(other.principal == need.principal for other in ahead):
            return False
        return not any(session.need.covers(need.least) for session in self._waiting)

    def _needs_ahead(self) -> list[Need]:
        """Call with the lock."""
        waiting = [session.need for session in self._waiting if session.is_ahead]
        return [coming.need for coming in self._coming] + waiting

    def _covering(self, need: Need) -> Session | None:
        with self._lock:
            for coming in self._coming:
                coming.is_late = coming.is_late or coming.need.covers(need)
            for session in reversed(self._waiting):
                if session.need.covers(need):
                    self._waiting.remove(session)
                    metrics.ENGINES_KEPT.set(len(self._waiting))
                    return session
        return None


def _close_aside(sessions: list[Session]) -> None:
    """End engines without holding up the query that noticed, nor the answer to it.

    The thread is no daemon: a worker that ends waits for it, and what it leaves ends with it.
    """
    if sessions:
        threading.Timer(REST_SECONDS, _close, (sessions,)).start()


def _close(sessions: list[Session]) -> None:
    for session in sessions:
        session.engine.close()


def _resident_bytes(pid: int) -> int:
    """Return the memory that a process holds; nothing where the system has no such file."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, ValueError):
        return 0
    return pages * 4096
