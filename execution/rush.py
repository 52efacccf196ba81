"""Keeps one principal's rush of requests from taking the planner, and the threads, from others.

Queries that wait cost a row; requests that are being planned cost a thread, a connection and
processor time each, before any queue can be fair. So each principal has a few at a time in a web
process, some more wait their turn, and the rest are told to come again.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from api.waiting import release_connection
from problems import Problem

AT_ONCE = 1
"""Requests of one principal that are planned at a time, in each process: those who bind take one
text of each at a time anyway."""
MOST_WAITING = 16
"""And those that wait for that; each holds one of the process's threads, but no connection."""
WAIT_SECONDS = 10.0
LONGEST_RETRY_SECONDS = 10
USUAL_SECONDS = 0.05
"""What a turn takes, until some were measured."""
NEWEST_WEIGHS = 0.2


class TooManyRequests(Problem):
    """As many of one's requests are being planned as may; `Retry-After` says when to return."""

    code = "too-many-requests"
    status = 429
    title = "Too many requests at once"


class Rush:
    """Counts requests by principal."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._at_work: Counter[UUID] = Counter()
        self._waiting: Counter[UUID] = Counter()
        self._pace = USUAL_SECONDS
        self._free_at: dict[UUID, float] = {}
        """When all whom a principal's refusals told to come again will have had their turn."""

    @contextmanager
    def turn(self, principal_id: UUID) -> Iterator[None]:
        """Do the work of the block when it is the principal's turn. Raises `TooManyRequests`."""
        with self._changed:
            if self._at_work[principal_id] >= AT_ONCE:
                self._wait(principal_id)
            self._at_work[principal_id] += 1
        began = time.monotonic()
        try:
            yield
        finally:
            with self._changed:
                self._pace += NEWEST_WEIGHS * (time.monotonic() - began - self._pace)
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
        try:
            has_turn = self._changed.wait_for(
                lambda: self._at_work[principal_id] < AT_ONCE, WAIT_SECONDS
            )
        finally:
            self._drop(self._waiting, principal_id)
        if not has_turn:
            raise self._refusal(principal_id)

    def _refusal(self, principal_id: UUID) -> TooManyRequests:
        """Return when to come again: one after the other, not all at once. Call with the lock."""
        now, turn = time.monotonic(), self._pace / AT_ONCE
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
