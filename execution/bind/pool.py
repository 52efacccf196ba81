"""A few warm binder processes shared by the threads of this process."""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import threading
import time
from typing import Any, ClassVar

from execution.bind.process import BinderLost, BinderProcess
from problems import Problem

DEADLINE_SECONDS = 10.0
SIZE = 2
QUEUE_SECONDS = 10.0


class BinderBusy(Problem):
    """All binders are at work; nothing was planned."""

    code: ClassVar[str] = "planner-busy"
    status: ClassVar[int] = 503
    title: ClassVar[str] = "The planner is busy"


class BinderPool:
    """Hands each bind to an idle process, best to one that holds the slices already."""

    def __init__(self, size: int = SIZE, deadline_seconds: float = DEADLINE_SECONDS) -> None:
        self.size = size
        self.deadline_seconds = deadline_seconds
        self._idle: list[BinderProcess] = []
        self._count = 0
        self._changed = threading.Condition()

    def warm(self) -> None:
        """Start all processes, without waiting for them."""
        with self._changed:
            while self._count < self.size:
                self._idle.append(BinderProcess())
                self._count += 1

    def ask(self, job: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to one job.

        Raises `BinderBusy` where no process gets free, `BinderLost` where this job made one hang
        or die: that one is replaced. A process that died while idle is not the job's fault: the
        job is asked again.
        """
        affinity = hashlib.sha256(json.dumps(job["slices"]).encode()).hexdigest()
        while True:
            process = self._take(affinity)
            was_alive = process.is_alive
            try:
                answer = process.ask(job, self.deadline_seconds)
            except BinderLost:
                self._replace()
                if was_alive:
                    raise
                continue
            process.affinity = affinity
            self._put_back(process)
            return answer

    def close(self) -> None:
        """End all idle processes."""
        with self._changed:
            for process in self._idle:
                process.end()
            self._count -= len(self._idle)
            self._idle.clear()

    def _take(self, affinity: str) -> BinderProcess:
        until = time.monotonic() + QUEUE_SECONDS
        with self._changed:
            while True:
                if self._idle:
                    same = [p for p in self._idle if p.affinity == affinity]
                    process = (same or self._idle)[0]
                    self._idle.remove(process)
                    return process
                if self._count < self.size:
                    self._count += 1
                    return BinderProcess()
                if not self._changed.wait(until - time.monotonic()):
                    message = "All planning processes are at work."
                    raise BinderBusy(message, hint="Try again in a few seconds.")

    def _put_back(self, process: BinderProcess) -> None:
        with self._changed:
            self._idle.insert(0, process)
            self._changed.notify()

    def _replace(self) -> None:
        """Start another process for one that is gone, so that it warms up before it is needed."""
        with self._changed:
            self._idle.append(BinderProcess())
            self._changed.notify()


_pools: dict[int, BinderPool] = {}
_pools_lock = threading.Lock()


def shared() -> BinderPool:
    """Return this process's pool; a forked process makes its own, and ends only its own."""
    with _pools_lock:
        if os.getpid() not in _pools:
            _pools[os.getpid()] = BinderPool()
            atexit.register(_close, os.getpid())
        return _pools[os.getpid()]


def _close(pid: int) -> None:
    if pid == os.getpid():
        _pools[pid].close()
