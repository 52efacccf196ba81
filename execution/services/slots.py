"""The slots of a worker: threads that look for queries when they are called, and run them.

A call is one word on a list of the broker's, taken by the slot that has waited longest, here or
elsewhere. It says that something waits and not what; it may be lost, doubled or late, since rows
are the queue. The sweep repeats by Celery what nobody took.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog
from django.db import close_old_connections, connections

from api.broker import push, take_for_ever
from execution.machine import Machine

KEY = "upend:queries:calls"
MOST_CALLS = 64
"""Each slot that is called looks until nothing is left: more calls than that tell nothing more."""
CALL_SECONDS = 60

log = structlog.get_logger(__name__)


def call() -> bool:
    """Call one free slot; tell whether the broker took it."""
    return push(b"1", KEY, most=MOST_CALLS, seconds=CALL_SECONDS)


class Slots:
    """The threads of one worker process, as many as its machine has slots."""

    def __init__(
        self, machine: Machine, look: Callable[[], object], is_stopping: Callable[[], bool]
    ) -> None:
        """`look` runs what waits, until nothing does or `is_stopping` says so."""
        self._look, self._is_stopping = look, is_stopping
        self._threads = [
            threading.Thread(target=self._serve_for_ever, name=f"slot-{number}")
            for number in range(machine.slots)
        ]

    def start(self) -> None:
        """Begin to listen."""
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Return once all have ended what they run; call it when they are to stop."""
        for thread in self._threads:
            thread.join()

    def _serve_for_ever(self) -> None:
        take_for_ever(KEY, lambda _: self._hear(), self._is_stopping)
        connections.close_all()

    def _hear(self) -> None:
        if self._is_stopping():
            call()  # somebody else
            return
        structlog.contextvars.bind_contextvars(task="execution.run_queries")
        close_old_connections()
        try:
            self._look()
        except Exception:
            log.exception("queries_not_run")
        finally:
            close_old_connections()
            structlog.contextvars.clear_contextvars()
