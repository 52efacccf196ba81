"""The parent's side of one binder process: start it, ask it, and end it when it hangs."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

from execution.engine import reach

STARTUP_SECONDS = 20.0
MAX_ANSWER_BYTES = 16 * 2**20
READ_BYTES = 2**16
OUT_OF_TIME = -signal.SIGPROF
"""The exit status of a child whose bind took all the processor time that it may."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much time one bind may take: of the processor, and by the clock."""

    cpu_seconds: float
    deadline_seconds: float


class BinderLost(Exception):
    """The process died, hung or said something else than it should; it has been ended."""

    def __init__(self, *, timed_out: bool) -> None:
        super().__init__("timed out" if timed_out else "died")
        self.timed_out = timed_out


class BinderProcess:
    """One child: warm once it has said so, one bind at a time."""

    def __init__(self) -> None:
        policy = json.dumps(reach.binder_policy().as_dict())
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-m", "execution.bind.child", policy],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            cwd="/",
            start_new_session=True,
        )
        self._warm = False
        self.affinity = ""
        """What it bound last: the same slices again are still attached."""

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Tell whether the process is still there."""
        return self._process.poll() is None

    def ask(self, job: dict[str, Any], limits: Limits) -> dict[str, Any]:
        """Send one job and return its answer. Raises `BinderLost`; then the child is gone."""
        try:
            if not self._warm:
                self._warm = bool(self._read(STARTUP_SECONDS).get("ready"))
            line = json.dumps(job | {"limits": asdict(limits)}) + "\n"
            assert self._process.stdin is not None  # noqa: S101 - asked for above
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()
            return self._read(limits.deadline_seconds)
        except (EOFError, OSError, ValueError) as error:
            self.end()
            timed_out = isinstance(error, TimeoutError) or self._process.returncode == OUT_OF_TIME
            raise BinderLost(timed_out=timed_out) from error

    def end(self) -> None:
        """Kill the child and free what it held; it has nothing to save."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    continue  # what was still buffered has nobody left to read it

    def _read(self, seconds: float) -> dict[str, Any]:
        """Return one line, parsed. Raises `TimeoutError`, `OSError` or `ValueError`."""
        assert self._process.stdout is not None  # noqa: S101 - asked for above
        descriptor = self._process.stdout.fileno()
        until = time.monotonic() + seconds
        received = bytearray()
        while not received.endswith(b"\n"):
            left = until - time.monotonic()
            if left <= 0 or not select.select([descriptor], [], [], left)[0]:
                raise TimeoutError
            chunk = os.read(descriptor, READ_BYTES)
            received += chunk
            if not chunk or len(received) > MAX_ANSWER_BYTES:
                raise EOFError
        answer: dict[str, Any] = json.loads(received)
        return answer
