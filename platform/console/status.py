"""Whether queries would run now: asked of the workers themselves, over the broker."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from celery import Celery, current_app
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

PATIENCE_SECONDS = (0.6, 2.0)
REMEMBER_SECONDS = 8.0


@dataclass(frozen=True, slots=True)
class Status:
    """What answers: the broker, and a worker for each queue."""

    broker: bool
    queues: frozenset[str]

    @property
    def queries_run(self) -> bool:
        """Tell whether a worker takes queries."""
        return "query" in self.queues

    @property
    def writes_run(self) -> bool:
        """Tell whether a worker takes uploads and catalog changes."""
        return "catalog" in self.queues


_lock = threading.Lock()
_last: tuple[float, Status] | None = None


def status() -> Status:
    """Return what answers now, at most a few seconds old.

    Remembered in this process: the shared cache lives in the broker that may be the one missing.
    """
    global _last  # noqa: PLW0603 - one small memo per process
    with _lock:
        if _last is None or time.monotonic() - _last[0] > REMEMBER_SECONDS:
            _last = (time.monotonic(), ask(current_app))
        return _last[1]


def ask(app: Celery) -> Status:
    """Ask the workers of `app` now; one that is busy is given a second, longer chance."""
    found = Status(broker=False, queues=frozenset())
    for patience in PATIENCE_SECONDS:
        try:
            answers = app.control.inspect(timeout=patience).active_queues() or {}
        except (OperationalError, RedisError, OSError):
            return found
        names = {str(queue["name"]) for queues in answers.values() for queue in queues}
        found = Status(broker=True, queues=frozenset(names))
        if found.queries_run and found.writes_run:
            break
    return found
