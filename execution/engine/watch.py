"""Follows a running engine by its control lines, the clock and the wish to cancel."""

from __future__ import annotations

import json
import os
import selectors
import time
from collections.abc import Callable
from typing import Any, Protocol

import structlog

from execution.engine.domain import Outcome, Progress
from execution.engine.problems import EngineError, QueryCancelled, died, problem_of, timed_out
from execution.engine.redaction import redact
from execution.engine.start import Process

TICK_SECONDS = 0.2
STDERR_KEPT_BYTES = 4000

log = structlog.get_logger(__name__)


class Carrier(Protocol):
    """The thread that carries rows, as the watch sees it."""

    error: BaseException | None
    is_complete: bool

    def is_alive(self) -> bool:
        """Tell whether it still carries."""

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end."""


class Watch:
    """One job of a process, from its start to its answer."""

    def __init__(self, process: Process, control: int, errors: int, memory_bytes: int) -> None:
        self._process, self._memory_bytes = process, memory_bytes
        self._control, self._errors = control, errors
        self._rest = b""
        self._stderr = b""
        self._progress = Progress()
        self._answer: dict[str, Any] = {}

    def until_done(
        self,
        carrier: Carrier,
        *,
        seconds: float,
        on_progress: Callable[[Progress], None],
        is_cancelled: Callable[[], bool],
    ) -> None:
        """Return when the process has answered, or died, and its rows are written."""
        deadline = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self._control, selectors.EVENT_READ, self._hear)
            selector.register(self._errors, selectors.EVENT_READ, self._overhear)
            while True:
                self._listen(selector, carrier)
                if carrier.error:
                    raise carrier.error
                if self._is_done(selector, carrier):
                    return
                on_progress(self._progress)
                if is_cancelled():
                    raise QueryCancelled("It was stopped because someone asked for that.")
                if time.monotonic() > deadline:
                    raise timed_out(seconds)

    def outcome(self, carrier: Carrier) -> Outcome:
        """Return what the process reported, or raise the problem that it ended with."""
        if "error" in self._answer:
            problem = problem_of(self._answer["error"], self._memory_bytes)
            raise problem from EngineError(redact(str(self._answer.get("text", ""))))
        if "outcome" in self._answer and carrier.is_complete:
            answer = self._answer["outcome"]
            return Outcome(**answer | {"columns": tuple((n, t) for n, t in answer["columns"])})
        returncode = self._process.wait()
        problem = died(returncode, self._memory_bytes)
        log.warning(
            "engine_died",
            returncode=returncode,
            stderr=self._stderr[-STDERR_KEPT_BYTES:].decode(errors="replace"),
        )
        raise problem

    def _is_done(self, selector: selectors.BaseSelector, carrier: Carrier) -> bool:
        """Tell whether nothing more will come: an error, rows and outcome, or the end of it."""
        if "error" in self._answer:
            return True
        is_silent = bool(self._answer) or self._control not in selector.get_map()
        return is_silent and not carrier.is_alive()

    def _listen(self, selector: selectors.BaseSelector, carrier: Carrier) -> None:
        """Wait one tick for lines; once the process has answered, wait for the rows alone."""
        if self._answer or self._control not in selector.get_map():
            carrier.join(TICK_SECONDS)
            return
        for key, _ in selector.select(TICK_SECONDS):
            chunk = os.read(key.fd, 65536)
            if chunk:
                key.data(chunk)
            else:
                selector.unregister(key.fd)
        if self._answer:
            carrier.join(TICK_SECONDS)

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
