"""The parent's side of the boundary: starts an engine, feeds it, watches it, and ends it.

The main thread watches (progress, cancellation, deadline: all that touches the database), a pump
thread carries Arrow batches from the pipe to the sink. Whatever happens, the process is gone and
its scratch directory removed when `run` returns.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

import pyarrow as pa
import structlog

from execution.engine import scratch
from execution.engine.domain import EngineSpec, Outcome, Progress
from execution.engine.problems import (
    EngineDied,
    EngineError,
    QueryCancelled,
    died,
    problem_of,
    timed_out,
)
from execution.engine.redaction import redact

TICK_SECONDS = 0.2
ENVIRONMENT = {"LANG": "C.UTF-8", "TZ": "UTC"}
STDERR_KEPT_BYTES = 4000

log = structlog.get_logger(__name__)


class Sink(Protocol):
    """Where batches go. Called from one thread that is not the caller's; must not touch the ORM."""

    def open(self, schema: pa.Schema) -> None:
        """Begin, before the first batch; called once even when there are no rows."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Take one batch."""


class Engine:
    """One engine process: started without a job, given one by `run`, never a second one."""

    def __init__(self) -> None:
        self._scratch = scratch.create()
        data_read, data_write = os.pipe()
        control_read, control_write = os.pipe()
        self._data = os.fdopen(data_read, "rb")
        self._control = os.fdopen(control_read, "rb", buffering=0)
        arguments = [str(os.getpid()), str(data_write), str(control_write), str(self._scratch)]
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-m", "execution.engine.child", *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=ENVIRONMENT,
                cwd="/",
                pass_fds=(data_write, control_write),
                start_new_session=True,
            )
        finally:
            os.close(data_write)
            os.close(control_write)

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._process.pid

    def is_alive(self) -> bool:
        """Tell whether the process waits for its job."""
        return self._process.poll() is None

    def close(self) -> None:
        """End the process and everything it started, and remove what it spilled."""
        if self._process.returncode is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        for stream in (self._process.stdin, self._process.stderr, self._data, self._control):
            try:
                if stream is not None:
                    stream.close()
            except BrokenPipeError:  # an unsent rest of the job, for a process that is gone
                pass
        scratch.remove(self._scratch)

    def run(
        self,
        spec: EngineSpec,
        *,
        sink: Sink,
        seconds: float,
        on_progress: Callable[[Progress], None],
        is_cancelled: Callable[[], bool],
    ) -> Outcome:
        """Carry out one job within `seconds`; see `execution.engine.services.run_engine`."""
        pump = Pump(self._process.stdin, self._data, spec, sink)
        try:
            pump.start()
            watch = Watch(self._process, self._control, spec.memory_bytes)
            watch.until_done(
                pump, seconds=seconds, on_progress=on_progress, is_cancelled=is_cancelled
            )
            return watch.outcome(pump)
        finally:
            self.kill()
            pump.join()
            self.close()

    def kill(self) -> None:
        """Send SIGKILL to the process group, if it still runs."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)


class Pump(threading.Thread):
    """Sends the job, then carries batches from the pipe to the sink until the pipe ends."""

    def __init__(self, job: Any, data: Any, spec: EngineSpec, sink: Sink) -> None:
        super().__init__(name="engine-pump", daemon=True)
        self._job, self._data, self._spec, self._sink = job, data, spec, sink
        self.rows = 0
        self.bytes = 0
        self.is_complete = False
        self.error: BaseException | None = None

    def run(self) -> None:
        """Do all of it, keeping the error for the watching thread."""
        try:
            with self._job as stream:
                stream.write(json.dumps(self._spec.as_dict()).encode())
            self._receive()
        except BrokenPipeError:
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


class Watch:
    """Follows a running process by its control lines, the clock and the wish to cancel."""

    def __init__(self, process: subprocess.Popen[bytes], control: Any, memory_bytes: int) -> None:
        self._process, self._control, self._memory_bytes = process, control, memory_bytes
        self._rest = b""
        self._stderr = b""
        self._progress = Progress()
        self._answer: dict[str, Any] = {}

    def until_done(
        self,
        pump: Pump,
        *,
        seconds: float,
        on_progress: Callable[[Progress], None],
        is_cancelled: Callable[[], bool],
    ) -> None:
        """Return when the process has spoken its last and its rows are written."""
        deadline = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self._control, selectors.EVENT_READ, self._hear)
            selector.register(self._process.stderr, selectors.EVENT_READ, self._overhear)  # type: ignore[arg-type]
            while selector.get_map() or pump.is_alive():
                self._listen(selector, pump)
                if pump.error:
                    raise pump.error
                on_progress(self._progress)
                if is_cancelled():
                    raise QueryCancelled("It was stopped because someone asked for that.")
                if time.monotonic() > deadline:
                    raise timed_out(seconds)

    def outcome(self, pump: Pump) -> Outcome:
        """Return what the process reported, or raise the problem that it ended with."""
        returncode = self._process.wait()
        if "error" in self._answer:
            problem = problem_of(self._answer["error"], self._memory_bytes)
            raise problem from EngineError(redact(str(self._answer.get("text", ""))))
        if "outcome" in self._answer and pump.is_complete:
            answer = self._answer["outcome"]
            return Outcome(**answer | {"columns": tuple((n, t) for n, t in answer["columns"])})
        problem = died(returncode, self._memory_bytes)
        log.warning(
            "engine_died",
            returncode=returncode,
            stderr=self._stderr[-STDERR_KEPT_BYTES:].decode(errors="replace"),
        )
        raise problem

    def _listen(self, selector: selectors.BaseSelector, pump: Pump) -> None:
        """Wait one tick for lines; once both pipes have ended, wait for the pump alone."""
        if not selector.get_map():
            pump.join(TICK_SECONDS)
            return
        for key, _ in selector.select(TICK_SECONDS):
            chunk = os.read(key.fd, 65536)
            if chunk:
                key.data(chunk)
            else:
                selector.unregister(key.fileobj)

    def _hear(self, chunk: bytes) -> None:
        """Take whole lines of the control pipe."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            message = json.loads(line)
            if "percent" in message:
                self._progress = Progress(**message)
            else:
                self._answer = message

    def _overhear(self, chunk: bytes) -> None:
        """Keep the end of what the process printed, for the operator's log."""
        self._stderr = (self._stderr + chunk)[-STDERR_KEPT_BYTES:]
