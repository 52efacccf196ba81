"""Room for requests that wait, without a database connection each, and never too many at once."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection
from rest_framework.request import Request

MOST_AT_ONCE = 48
"""Requests that may wait in one web process; the other threads always serve those who do not."""
LONGEST_SECONDS = 30
WAIT = re.compile(r'(?:^|[,;])\s*wait\s*=\s*"?(\d{1,9})"?\s*(?=$|[,;])', re.IGNORECASE)

_room = threading.BoundedSemaphore(MOST_AT_ONCE)


@contextmanager
def place_to_wait() -> Iterator[bool]:
    """Yield whether there is room for one more waiting request in this process."""
    has_room = _room.acquire(blocking=False)
    try:
        yield has_room
    finally:
        if has_room:
            _room.release()


def release_connection() -> None:
    """Give the database connection back: to the pool where there is one, else to PostgreSQL."""
    if not connection.in_atomic_block:
        connection.close()


def preferred_seconds(request: Request, default: int = 0) -> int:
    """Return how long the request is willing to wait (RFC 7240), as far as we let it."""
    found = WAIT.search(request.headers.get("Prefer", ""))
    return min(int(found[1]), LONGEST_SECONDS) if found else default
