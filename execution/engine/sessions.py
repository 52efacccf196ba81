"""Keeps the locked engine of a query for the next ones that its slice covers.

A burst of questions about the same tables pays for the slice once, and reads from a warm file
cache. An engine is handed on only to the principal who had it, only for tables that it shows the
same way at the same snapshot, and only for columns and files that its slice holds: nothing comes
within reach that a slice of the new query's own would not hold, but for the rest of what the same
principal was granted a moment ago under the same rights. Every query is decided afresh before.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
RESIDENT_BYTES = 768 * 2**20
"""An engine that holds more memory than this is not worth keeping while it waits."""


@dataclass(frozen=True, slots=True)
class TableNeed:
    """One table as a query needs it. `files` are ids of data files, None for all of them."""

    shown_as: str
    identity: tuple[str, str, int, str]
    view: str
    columns: frozenset[str]
    files: frozenset[int] | None

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> TableNeed:
        """Read one entry of an execution record."""
        view = {key: value for key, value in entry["view"].items() if key != "table"}
        ids = entry["data_file_ids"]
        return cls(
            shown_as=str(entry["view"]["name"]).casefold(),
            identity=(
                entry["catalog_id"],
                entry["table_uuid"],
                entry["snapshot_id"],
                entry.get("shown_in", ""),
            ),
            view=json.dumps(view, sort_keys=True),
            columns=frozenset(entry["columns"]),
            files=None if ids is None else frozenset(ids),
        )

    def covers(self, other: TableNeed) -> bool:
        """Tell whether a slice made for this need holds all that `other` needs."""
        same = self.identity == other.identity and self.view == other.view
        files = self.files is None or (other.files is not None and other.files <= self.files)
        return same and files and other.columns <= self.columns


@dataclass(frozen=True, slots=True)
class Need:
    """What a query needs of its engine: whose it is, how names resolve, memory, and tables."""

    principal: str
    workspace: str
    search_path: tuple[tuple[str, ...], ...]
    memory_bytes: int
    tables: tuple[TableNeed, ...]

    @classmethod
    def of(
        cls, record: Mapping[str, Any], *, principal: str, workspace: str, memory_bytes: int
    ) -> Need:
        """Read the need of an execution record."""
        return cls(
            principal=principal,
            workspace=workspace,
            search_path=tuple(tuple(pair) for pair in record["search_path"]),
            memory_bytes=memory_bytes,
            tables=tuple(map(TableNeed.of, record.get("tables", []))),
        )

    def covers(self, other: Need) -> bool:
        """Tell whether an engine made for this need may run a query with the need `other`."""
        mine, theirs = self._session, other._session
        return mine == theirs and other.memory_bytes <= self.memory_bytes and self._holds(other)

    @property
    def _session(self) -> tuple[object, ...]:
        return self.principal, self.workspace, self.search_path

    def _holds(self, other: Need) -> bool:
        """Tell whether every table is held, and none more could take a name of the query's."""
        used = [self._held(table) for table in other.tables]
        spare = {table.shown_as for table in self.tables if table not in used}
        return all(used) and spare.isdisjoint(table.shown_as for table in other.tables)

    def _held(self, wanted: TableNeed) -> TableNeed | None:
        return next((table for table in self.tables if table.covers(wanted)), None)


@dataclass(slots=True)
class Session:
    """An engine with a slice, between two queries."""

    need: Need
    engine: Engine
    born_at: float
    idle_since: float

    def is_over(self, now: float) -> bool:
        """Tell whether it has waited, or lived, for long enough."""
        return now - self.idle_since > IDLE_SECONDS or now - self.born_at > LIFE_SECONDS


class Sessions:
    """The waiting sessions of one worker process; what is taken out is nobody else's."""

    def __init__(self) -> None:
        self._waiting: list[Session] = []
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

    def keep(self, session: Session) -> None:
        """Let a session wait for the next query; the longest waiting one makes room."""
        is_big = _resident_bytes(session.engine.pid) > RESIDENT_BYTES
        if is_big or not session.engine.catch_up():
            session.engine.close()  # at once: its memory is promised to the next query
            return
        session.idle_since = time.monotonic()
        with self._lock:
            self._waiting.append(session)
            surplus = self._waiting[:-KEPT_AT_MOST]
            self._waiting = self._waiting[-KEPT_AT_MOST:]
            self._look_again()
        _close_aside(surplus)

    def end_old(self) -> None:
        """End the sessions whose time is over."""
        now = time.monotonic()
        with self._lock:
            old = [session for session in self._waiting if session.is_over(now)]
            self._waiting = [session for session in self._waiting if not session.is_over(now)]
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

    def _covering(self, need: Need) -> Session | None:
        with self._lock:
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
