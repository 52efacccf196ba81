"""Keeps one principal's rush of requests from taking the planner, and the threads, from others.

Queries that wait cost a row; requests that are being planned cost a thread, a connection and
processor time each, before any queue can be fair. So each principal has a few at a time in a web
process, some more wait their turn, and the rest are told to come again. Who goes on and on has a
share of the planner's time while others ask too: what they leave is all theirs. Who has queries
enough that wait for a worker gains nothing by more that are planned, and so has a trickle of it.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

from api.waiting import release_connection
from problems import Problem

AT_ONCE = 1
"""Requests of one principal that are planned at a time, in each process: those who bind take one
text of each at a time anyway."""
MOST_WAITING = 16
"""And those that wait for that; each holds one of the process's threads, but no connection."""
WAIT_SECONDS = 10.0
LONGEST_RETRY_SECONDS = 15
USUAL_SECONDS = 0.05
"""What a turn takes, until some were measured."""
NEWEST_WEIGHS = 0.2
SHARE = 0.15
"""Of one processor, what a rush's requests may have of this process while others ask too. What
they have of the database and of those who bind goes along with it."""
BURST_SECONDS = 0.4
"""What is planned beyond that share before its principal waits: some twenty requests at once."""
AHEAD = 16
"""So many of a principal's queries that wait for a worker keep any number of slots at work."""
TRICKLE = 0.01
"""The share, and no burst, of who has that many waiting: about one request a second, so that it
shows soon when they are fewer."""
OTHERS_SECONDS = 5.0
"""For so long after somebody's last request they are taken to be there."""
LOOK_SECONDS = 0.25
"""After so long who waits looks again whether the others went."""


class TooManyRequests(Problem):
    """As many of one's requests are being planned as may; `Retry-After` says when to return."""

    code = "too-many-requests"
    status = 429
    title = "Too many requests at once"


@dataclass(frozen=True, slots=True)
class _Use:
    """What one principal has had of the processor beyond its share, and when that was reckoned."""

    seconds: float = 0.0
    at: float = 0.0
    queued: int = 0
    """How many of its queries waited for a worker, as far as its last request found out."""

    @property
    def share(self) -> float:
        """Return its share of a processor."""
        return SHARE if self.queued < AHEAD else TRICKLE

    def is_beyond(self, now: float) -> bool:
        """Tell whether it has had its share, and its burst."""
        return self.until(now) > (BURST_SECONDS if self.queued < AHEAD else 0.0)

    def until(self, now: float) -> float:
        """Return what is left of it: its share is forgiven as time passes."""
        return max(0.0, self.seconds - self.share * (now - self.at))


@dataclass(slots=True)
class Turn:
    """A principal's turn; whoever has it may say how many of its queries wait for a worker."""

    queued: int = 0


class Rush:
    """Counts requests by principal, and what they took."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        work: Callable[[], float] = time.thread_time,
    ) -> None:
        self._clock, self._work = clock, work
        self._used: dict[UUID, _Use] = {}
        self._changed = threading.Condition()
        self._at_work: Counter[UUID] = Counter()
        self._waiting: Counter[UUID] = Counter()
        self._pace = USUAL_SECONDS
        self._free_at: dict[UUID, float] = {}
        """When all whom a principal's refusals told to come again will have had their turn."""

    @contextmanager
    def turn(self, principal_id: UUID) -> Iterator[Turn]:
        """Do the work of the block when it is the principal's turn. Raises `TooManyRequests`."""
        with self._changed:
            if not self._may_begin(principal_id):
                self._wait(principal_id)
            self._at_work[principal_id] += 1
            here = Turn(self._use(principal_id).queued)
        began, worked = self._clock(), self._work()
        try:
            yield here
        finally:
            with self._changed:
                now = self._clock()
                self._pace += NEWEST_WEIGHS * (now - began - self._pace)
                self._note(principal_id, self._work() - worked, here.queued, now)
                self._drop(self._at_work, principal_id)
                self._changed.notify_all()

    def waiting(self, principal_id: UUID) -> int:
        """Return how many requests of a principal wait."""
        with self._changed:
            return self._waiting[principal_id]

    def _wait(self, principal_id: UUID) -> None:
        """Wait for a turn. Call with the lock."""
        if self._waiting[principal_id] >= MOST_WAITING:
            raise self._refusal(principal_id)
        release_connection()
        self._waiting[principal_id] += 1
        until = self._clock() + WAIT_SECONDS
        try:
            while not self._may_begin(principal_id):
                if self._clock() >= until:
                    raise self._refusal(principal_id)
                self._changed.wait(LOOK_SECONDS)
        finally:
            self._drop(self._waiting, principal_id)

    def _may_begin(self, principal_id: UUID) -> bool:
        """Tell whether it is the principal's turn. Call with the lock."""
        if self._at_work[principal_id] >= AT_ONCE:
            return False
        return not self._is_beyond_its_share(principal_id)

    def _is_beyond_its_share(self, principal_id: UUID) -> bool:
        """Tell whether a principal has had its share, and others are there. Call with the lock."""
        now = self._clock()
        if not self._use(principal_id).is_beyond(now):
            return False
        others = (use.at for who, use in self._used.items() if who != principal_id)
        return any(now - at < OTHERS_SECONDS for at in others)

    def _use(self, principal_id: UUID) -> _Use:
        return self._used.get(principal_id, _Use())

    def _note(self, principal_id: UUID, seconds: float, queued: int, now: float) -> None:
        """Add what a turn took, and forget who has long been away. Call with the lock."""
        taken = self._used.pop(principal_id, _Use()).until(now) + seconds
        self._used[principal_id] = _Use(taken, now, queued)
        while (oldest := next(iter(self._used.items())))[1].at < now - OTHERS_SECONDS:
            if oldest[1].until(now):
                break
            del self._used[oldest[0]]

    def _refusal(self, principal_id: UUID) -> TooManyRequests:
        """Return when to come again: one after the other, not all at once. Call with the lock."""
        now, turn = self._clock(), self._pace / AT_ONCE
        if self._is_beyond_its_share(principal_id):
            turn /= self._use(principal_id).share
        line = now + self._waiting[principal_id] * turn
        free_at = max(line, self._free_at.get(principal_id, line)) + turn
        self._free_at[principal_id] = min(free_at, now + LONGEST_RETRY_SECONDS)
        seconds = math.ceil(self._free_at[principal_id] - now)
        problem = TooManyRequests(
            "More of your requests are being planned than one may have planned at a time.",
            hint=f"Send fewer at once; try again in {seconds} s.",
            retry_after_seconds=seconds,
        )
        problem.retry_after_seconds = seconds
        return problem

    def _drop(self, counts: Counter[UUID], principal_id: UUID) -> None:
        """Count one less, and forget who has none. Call with the lock."""
        counts[principal_id] -= 1
        if not counts[principal_id]:
            del counts[principal_id]
        if principal_id not in self._at_work and principal_id not in self._waiting:
            self._free_at.pop(principal_id, None)


_rush = Rush()
turn = _rush.turn
"""This process's."""
