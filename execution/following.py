"""Follows one query for someone who watches: every step as it happens, then its end."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils import timezone

from api.waiting import place_to_wait
from execution.domain import QueryState
from execution.engine.domain import Progress
from execution.line import turns
from execution.models import Query
from execution.notices.hub import Follower, hub
from execution.waiting import has_hung_up, rest

SIGN_OF_LIFE_SECONDS = 15.0
CHECK_SECONDS = 5.0
"""How long a right that ended still shows measures; rows it never showed."""
LOOK_SECONDS = 2.0
"""How old a look at the row may be while progress comes by notices."""
LONGEST_SECONDS = 300.0
"""After this a follower connects anew, and is authenticated anew."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a query stands: what a progress line shows."""

    state: QueryState
    percent: float
    rows: int
    bytes: int
    bytes_read: int
    elapsed_seconds: float
    attempts: int
    queue: dict[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-ready data."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to tell a follower: where the query stands, its end, or only that we live."""

    standing: Standing | None = None
    is_end: bool = False
    has_no_room: bool = False
    """Whether this is all for now: too many follow, ask again in a while."""


def follow(
    query_id: UUID, *, is_allowed: Callable[[], bool], peer: socket.socket | None = None
) -> Iterator[Step]:
    """Yield each step of the query until it ends, `is_allowed` says no or `peer` hangs up.

    The first step is where it stands now. No database connection is held between steps.
    """
    with place_to_wait() as has_room, hub().follow(query_id, wants_progress=True) as follower:
        row = _row(query_id)
        if row is None:
            return
        yield Step(standing_of(row), is_end=_is_over(row), has_no_room=not has_room)
        if has_room and not _is_over(row):
            yield from _Watch(follower, row, is_allowed, peer).steps()


class _Watch:
    """One follower's view of one query, kept up to date by notices and looks at the row."""

    def __init__(
        self,
        follower: Follower,
        row: Query,
        is_allowed: Callable[[], bool],
        peer: socket.socket | None,
    ) -> None:
        self._follower, self._row, self._peer = follower, row, peer
        self._is_allowed = is_allowed
        self._said = standing_of(row)
        now = time.monotonic()
        self._spoke_at = self._checked_at = self._looked_at = now
        self._until = now + LONGEST_SECONDS

    def steps(self) -> Iterator[Step]:
        """Yield what is new, and a sign of life where nothing is for long."""
        while (now := time.monotonic()) < self._until:
            came = rest(self._follower, 1.0)
            if has_hung_up(self._peer) or not self._may_go_on(now):
                return
            standing = self._standing(came)
            if standing is None:
                return
            if self._is_news(standing):
                self._said, self._spoke_at = standing, now
                yield Step(standing, is_end=standing.state.is_final)
                if standing.state.is_final:
                    return
            elif now - self._spoke_at >= SIGN_OF_LIFE_SECONDS:
                self._spoke_at = now
                yield Step()

    def _may_go_on(self, now: float) -> bool:
        if now - self._checked_at < CHECK_SECONDS:
            return True
        self._checked_at = now
        return self._is_allowed()

    def _standing(self, came: bool) -> Standing | None:
        """Return where the query stands, without the row where a notice says it all."""
        now = time.monotonic()
        notice = self._follower.latest if came and now - self._looked_at < LOOK_SECONDS else None
        if notice is not None and notice.progress is not None and self._said.state == notice.state:
            return _standing(self._row, notice.state, notice.progress)
        row = _row(self._row.id)
        if row is None:
            return None
        self._row, self._looked_at = row, now
        return self._ahead_of(standing_of(row))

    def _ahead_of(self, found: Standing) -> Standing:
        """Return the row's standing, with the later measures that a notice brought."""
        said = self._said
        if (said.state, said.attempts) != (found.state, found.attempts):
            return found
        return replace(
            found,
            percent=max(said.percent, found.percent),
            rows=max(said.rows, found.rows),
            bytes=max(said.bytes, found.bytes),
            bytes_read=max(said.bytes_read, found.bytes_read),
        )

    def _is_news(self, standing: Standing) -> bool:
        return replace(standing, elapsed_seconds=0.0) != replace(self._said, elapsed_seconds=0.0)


def standing_of(query: Query) -> Standing:
    """Return where the query stands by its row."""
    progress = Progress(**query.progress)
    standing = _standing(query, QueryState(query.state), progress)
    turn = turns([query.id]).get(query.id) if standing.state is QueryState.QUEUED else None
    return replace(standing, queue=turn.as_dict()) if turn else standing


def _standing(query: Query, state: QueryState, progress: Progress) -> Standing:
    since: datetime = query.started_at or query.created_at
    elapsed = ((query.finished_at or timezone.now()) - since).total_seconds()
    return Standing(
        state=state,
        percent=progress.percent,
        rows=progress.rows,
        bytes=progress.bytes,
        bytes_read=progress.bytes_read,
        elapsed_seconds=round(elapsed, 3),
        attempts=query.attempts,
    )


def _row(query_id: UUID) -> Query | None:
    rows = Query.objects.only(
        "state", "progress", "attempts", "created_at", "started_at", "finished_at"
    )
    return rows.filter(id=query_id).first()


def _is_over(query: Query) -> bool:
    return QueryState(query.state).is_final
