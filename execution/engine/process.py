"""The parent's side of the boundary: feeds an engine, watches it, and ends it.

The caller's thread watches (progress, cancellation, deadline: all that touches the database), a
pump thread carries Arrow batches from the pipe to the sink. An engine that did not end its job
well is gone when `run` returns, its scratch directory with it.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

import pyarrow as pa

from execution.engine import messages, reach, scratch, start
from execution.engine.domain import EngineSpec, Held, Outcome, Progress
from execution.engine.problems import EngineDied
from execution.engine.watch import Watch
from execution.sandbox import Endpoint
from observability import metrics

SHORT_SECONDS = 1.0
"""A query that takes longer lets the others have the processors first."""
BEHIND = 10
"""The niceness of such a query's engine."""
FAR_BEHIND = 15
"""That of one which was known to be heavy: it gets what others leave, a thirtieth at least."""
LEFTOVER_SECONDS = 10.0
"""For so long a heavy one has nothing but what they leave, where its worker can end that again: a
processor that runs nothing else counts as free to whom something wakes up for. Long enough for
what is heavy and not huge, and nobody has less than a thirtieth for longer."""


class Sink(Protocol):
    """Where batches go. Called from one thread that is not the caller's; must not touch the ORM."""

    def open(self, schema: pa.Schema) -> None:
        """Begin, before the first batch; called once even when there are no rows."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Take one batch."""


class Engine:
    """One engine process, started without a job. The first job brings the slice of all.

    It reaches `endpoints`, for good: those of Upend's own store unless others are named.
    """

    _ended_by = "unneeded"

    def __init__(self, endpoints: tuple[Endpoint, ...] | None = None) -> None:
        self.endpoints = reach.hosted() if endpoints is None else endpoints
        self._scratch = scratch.create()
        data, control, errors = (os.pipe() for _ in range(3))
        self._jobs, jobs = socket.socketpair()
        self._jobs.shutdown(socket.SHUT_RD)  # nothing is taken from an engine by this way
        self._channel = reach.egress().open(self.endpoints)
        handover = self._channel.inner.detach()
        theirs = start.Pipes(jobs.detach(), data[1], control[1], errors[1], handover)
        self._data: BinaryIO = os.fdopen(data[0], "rb")
        self._control, self._errors = control[0], errors[0]
        try:
            policy = reach.policy(scratch=str(self._scratch), endpoints=self.endpoints)
            self._process = start.start(theirs, policy)
        except BaseException:
            self._close_pipes()
            scratch.remove(self._scratch)
            raise
        self._is_open = True
        self.is_behind = False
        self._has_leftovers_until: float | None = None
        metrics.ENGINE_STARTS.inc()

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._process.pid

    def is_alive(self) -> bool:
        """Tell whether the process waits for a job, and still has its way to the store."""
        return self._is_open and self._process.poll() is None and self._channel.is_alive()

    def close(self) -> None:
        """End the process and everything it started, and remove what it spilled."""
        if not self._is_open:
            return
        self._is_open = False
        metrics.ENGINE_ENDS.labels(self._ended_by).inc()
        self.catch_up()  # to end takes the processor too
        self._process.kill()
        self._process.wait()
        self._close_pipes()
        scratch.remove(self._scratch)

    def attach(self, job: bytes, copies: Sequence[Held]) -> bool:
        """Send a packed job without SQL, which the engine takes on its own time; False if it died.

        Waits for it where the job is longer than what its socket takes.
        """
        try:
            messages.send_packed(self._jobs, job, [copy.fileno() for copy in copies])
        except ConnectionError:
            return False
        return True

    def run(
        self,
        spec: EngineSpec,
        *,
        sink: Sink,
        seconds: float,
        on_progress: Callable[[Progress], None],
        is_cancelled: Callable[[], bool],
    ) -> Outcome:
        """Carry out one job within `seconds`; see `execution.engine.services.run_engine`.

        The engine can take the next job if this one ended well, and is closed otherwise.
        """
        pump = Pump(self._jobs, self._data, spec, sink)
        long_from = time.monotonic() + SHORT_SECONDS

        def on_each_look(progress: Progress) -> None:
            now = time.monotonic()
            if not self.is_behind and now > long_from:
                self.fall_behind()
            if self._has_leftovers_until is not None and now > self._has_leftovers_until:
                self._end_leftovers()
            on_progress(progress)

        try:
            if spec.is_heavy:
                self.fall_behind(FAR_BEHIND)
                self._take_leftovers()
            pump.start()
            watch = Watch(self._process, self._control, self._errors, spec.memory_bytes)
            watch.until_done(
                pump, seconds=seconds, on_progress=on_each_look, is_cancelled=is_cancelled
            )
            return watch.outcome(pump)
        except BaseException as error:
            self._ended_by = str(getattr(error, "code", "error"))
            self.catch_up()
            self._process.kill()
            pump.join()
            self.close()
            raise

    def fall_behind(self, niceness: int = BEHIND) -> None:
        """Let shorter queries have the processors first, from here on."""
        self._set_niceness(niceness)
        self.is_behind = True

    def catch_up(self) -> bool:
        """Undo `fall_behind`, which only a privileged worker may; tell whether it is undone."""
        self._end_leftovers()
        if self.is_behind:
            self.is_behind = not self._set_niceness(os.getpriority(os.PRIO_PROCESS, 0))
        return not self.is_behind

    def _take_leftovers(self) -> None:
        """Run only where nothing else wants to, for a while; as root only, who can undo it."""
        if hasattr(os, "SCHED_IDLE") and os.geteuid() == 0:
            self._has_leftovers_until = time.monotonic() + LEFTOVER_SECONDS
            self._set_policy(os.SCHED_IDLE)

    def _end_leftovers(self) -> None:
        if self._has_leftovers_until is not None:
            self._has_leftovers_until = None
            self._set_policy(os.SCHED_OTHER)

    def _set_policy(self, policy: int) -> None:
        """Set how all threads are scheduled, those included that begin meanwhile (Linux)."""
        done: set[Path] = set()
        with contextlib.suppress(OSError):  # it has ended
            while new := set(Path(f"/proc/{self.pid}/task").iterdir()) - done:
                for thread in new:
                    with contextlib.suppress(ProcessLookupError):  # that thread has
                        os.sched_setscheduler(int(thread.name), policy, os.sched_param(0))
                done |= new

    def _set_niceness(self, niceness: int) -> bool:
        """Set that of all its threads; False where it has ended, or that is not allowed."""
        for which in (os.PRIO_PGRP, os.PRIO_PROCESS):  # it may have been forked this instant,
            with contextlib.suppress(OSError):  # and lead no group yet
                os.setpriority(which, self.pid, niceness)
                return True
        return False

    def _close_pipes(self) -> None:
        self._channel.close()
        for descriptor in (self._control, self._errors):
            os.close(descriptor)
        self._jobs.close()
        self._data.close()


class Pump(threading.Thread):
    """Sends the job, then carries batches from the pipe to the sink until the stream ends."""

    def __init__(self, jobs: socket.socket, data: BinaryIO, spec: EngineSpec, sink: Sink) -> None:
        super().__init__(name="engine-pump", daemon=True)
        self._jobs, self._data, self._spec, self._sink = jobs, data, spec, sink
        self.rows = 0
        self.bytes = 0
        self.is_complete = False
        self.error: BaseException | None = None

    def run(self) -> None:
        """Do all of it, keeping the error for the watching thread."""
        try:
            files = [copy.fileno() for copy in self._spec.copies]
            messages.send(self._jobs, self._spec.as_dict(), files)
            self._receive()
        except ConnectionError:
            pass  # the process ended early: the watch finds out why
        except BaseException as error:  # noqa: BLE001 - raised again by the watching thread
            self.error = error

    def _receive(self) -> None:
        """Read batches until the stream ends, or breaks off with the process."""
        try:
            reader = pa.ipc.open_stream(self._data)
        except pa.ArrowInvalid:
            return
        self._sink.open(reader.schema)
        while True:
            try:
                batch = reader.read_next_batch()
            except StopIteration:
                self.is_complete = True
                return
            except (pa.ArrowInvalid, OSError):
                return
            self._take(batch)

    def _take(self, batch: pa.RecordBatch) -> None:
        """Check a batch as what it is, data from a process that ran a stranger's SQL."""
        for column in batch.columns:
            # A HUGEINT may have one digit more than decimal128 admits: its type cannot be checked.
            column.validate(full="decimal128(38, 0)" not in str(column.type))
        self.rows += batch.num_rows
        self.bytes += batch.nbytes
        if self.rows > self._spec.max_rows or self.bytes > self._spec.max_bytes:
            message = "The engine process sent more than it was asked for and was ended."
            raise EngineDied(message)
        self._sink.write(batch)
