"""A few warm binder processes shared by the threads of this process."""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import threading
from collections import Counter
from typing import Any, ClassVar

from execution.bind.process import BinderLost, BinderProcess, Limits
from observability import metrics
from problems import Problem

LIMITS = Limits(cpu_seconds=4.0, deadline_seconds=10.0)
"""Of one bind. The first is what hostile text meets; the second is for a machine that is busy."""
SIZE = 3
EACH = 1
"""Processes that one principal's binds may hold: what they send delays them, and nobody else."""
QUEUE_SECONDS = 10.0


class BinderBusy(Problem):
    """All binders are at work, or those that one principal may hold; nothing was planned."""

    code: ClassVar[str] = "planner-busy"
    status: ClassVar[int] = 503
    title: ClassVar[str] = "The planner is busy"

    retry_after_seconds = 1


class BinderPool:
    """Hands each bind to an idle process, best to one that holds the slices already."""

    def __init__(self, size: int = SIZE, limits: Limits = LIMITS) -> None:
        self.size = size
        self.limits = limits
        self._idle: list[BinderProcess] = []
        self._count = 0
        self._at_work: Counter[str] = Counter()
        self._changed = threading.Condition()

    def warm(self) -> None:
        """Start all processes, without waiting for them."""
        with self._changed:
            while self._count < self.size:
                self._idle.append(BinderProcess())
                self._count += 1

    def ask(self, job: dict[str, Any], *, principal: str = "") -> dict[str, Any]:
        """Return the answer to one job, for which `principal` waits its turn.

        Raises `BinderBusy` where no process gets free, `BinderLost` where this job made one hang
        or die: that one is replaced, as is one that says that it is over. A process that died
        while idle is not the job's fault: the job is asked again.
        """
        affinity = hashlib.sha256(json.dumps(job["slices"]).encode()).hexdigest()
        while True:
            process = self._take(affinity, principal)
            was_alive = process.is_alive
            try:
                answer = process.ask(job, self.limits)
            except BaseException as error:
                process.end()
                self._put_back(BinderProcess(), principal)  # warms up before it is needed
                if was_alive or not isinstance(error, BinderLost):
                    raise
                continue
            process.affinity = affinity
            if answer.get("is_over"):
                process.end()
                process = BinderProcess()
            self._put_back(process, principal)
            return answer

    def close(self) -> None:
        """End all idle processes."""
        with self._changed:
            for process in self._idle:
                process.end()
            self._count -= len(self._idle)
            self._idle.clear()

    def _take(self, affinity: str, principal: str) -> BinderProcess:
        """Return a process that is for this principal alone until it is put back."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._is_free(principal), QUEUE_SECONDS):
                metrics.BINDER_BUSY.inc()
                message = "All planning processes are at work."
                raise BinderBusy(message, hint="Try again in a few seconds.")
            process = self._pop(affinity)
            self._at_work[principal] += 1
            return process

    def _is_free(self, principal: str) -> bool:
        return self._at_work[principal] < EACH and bool(self._idle or self._count < self.size)

    def _pop(self, affinity: str) -> BinderProcess:
        if not self._idle:
            process = BinderProcess()
            self._count += 1
            return process
        same = (p for p in self._idle if p.affinity == affinity)
        process = next(same, self._idle[0])
        self._idle.remove(process)
        return process

    def _put_back(self, process: BinderProcess, principal: str) -> None:
        with self._changed:
            self._idle.insert(0, process)
            self._at_work -= Counter([principal])  # drops who is at zero
            self._changed.notify_all()


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
