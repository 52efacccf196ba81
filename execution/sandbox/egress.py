"""The worker's side of the way out: one relay process, one channel per confined process.

The relay is a process and not a thread, so that carrying bytes waits for no lock of the worker's
interpreter, and so that what speaks to confined processes holds none of the worker's secrets.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import threading
from dataclasses import asdict

from execution.sandbox.domain import Endpoint


class Channel:
    """What one confined process gets: a socket to hand its listeners over, until `close`."""

    def __init__(self, inner: socket.socket, life: socket.socket) -> None:
        self.inner = inner
        self._life = life

    def started(self) -> None:
        """Let go of the child's end, which the child has by now."""
        self.inner.close()

    def is_alive(self) -> bool:
        """Tell whether the relay still serves the channel: its end closes with it."""
        return not select.select([self._life], [], [], 0)[0]

    def close(self) -> None:
        """Close the process's listeners and connections in the relay. Safe to repeat."""
        self.inner.close()
        self._life.close()


class Egress:
    """The relay of this process, started when first needed; threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    @property
    def pid(self) -> int | None:
        """Return the relay's process id, None before the first channel."""
        return None if self._process is None else self._process.pid

    def open(self, endpoints: tuple[Endpoint, ...]) -> Channel:
        """Return a channel through which one process will reach `endpoints`, and only them.

        In the order in which the process's own policy lists them.
        """
        outer, inner = socket.socketpair()
        theirs, ours = socket.socketpair()
        with outer, theirs:
            message = json.dumps([asdict(endpoint) for endpoint in endpoints]).encode()
            self._send(message, [outer.fileno(), theirs.fileno()])
        return Channel(inner, ours)

    def close(self) -> None:
        """End the relay and with it every connection."""
        with self._lock:
            self._end()

    def _send(self, message: bytes, descriptors: list[int]) -> None:
        """Tell the relay of a channel; a relay that has died is replaced."""
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._start()
            try:
                self._give(message, descriptors)
            except OSError:  # it died a moment ago
                self._start()
                self._give(message, descriptors)

    def _give(self, message: bytes, descriptors: list[int]) -> None:
        assert self._control is not None  # noqa: S101 - `_start` has set it
        socket.send_fds(self._control, [message], descriptors)

    def _start(self) -> None:
        self._end()
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-m", "execution.sandbox.relay", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env={},
                cwd="/",
                pass_fds=(theirs.fileno(),),
                start_new_session=True,  # a Ctrl-C is the worker's to handle
            )

    def _end(self) -> None:
        """Close the control socket, at which the relay leaves."""
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            self._process.wait()
        self._control = self._process = None


_shared: dict[int, Egress] = {}
_shared_lock = threading.Lock()


def shared_egress() -> Egress:
    """Return this process's relay; a forked process makes its own."""
    with _shared_lock:
        found = _shared.get(os.getpid())
        if found is None:
            found = _shared[os.getpid()] = Egress()
            atexit.register(_close, os.getpid(), found)
        return found


def _close(pid: int, egress: Egress) -> None:
    """End the relay with the process that started it, not with a fork of that process."""
    if pid == os.getpid():
        egress.close()
