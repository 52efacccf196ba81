"""How an engine process comes to be: forked by this process's fork server, or started cold.

Cold start is for systems where a loaded process cannot be forked safely (macOS); everything else
about an engine is the same.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from dataclasses import dataclass
from typing import Protocol

import structlog

from execution.sandbox import Policy

START_SECONDS = 30.0
"""How long a fork server or an engine may take to load, on a machine that is busy."""
ENVIRONMENT = {"LANG": "C.UTF-8", "TZ": "UTC"}
CAN_FORK = sys.platform == "linux"

log = structlog.get_logger(__name__)


class EngineNotStarted(RuntimeError):
    """No engine process could be had; nothing ran."""


@dataclass(frozen=True, slots=True)
class Pipes:
    """The ends of an engine's pipes that are the engine's; the parent closes them after a start."""

    jobs: int
    data: int
    control: int
    errors: int
    handover: int

    def close(self) -> None:
        """Close them all."""
        for descriptor in (self.jobs, self.data, self.control, self.errors, self.handover):
            os.close(descriptor)


class Process(Protocol):
    """A started engine process, however it was started."""

    @property
    def pid(self) -> int:
        """Return the process id."""

    def poll(self) -> int | None:
        """Return the exit status as `Popen` spells it, None while the process runs."""

    def wait(self) -> int:
        """Wait for the end and return the exit status."""

    def kill(self) -> None:
        """Send SIGKILL to the process group, if it still runs."""


def start(pipes: Pipes, policy: Policy) -> Process:
    """Start an engine that waits for its job. Raises `EngineNotStarted`."""
    try:
        return _server().start(pipes, policy) if CAN_FORK else Cold(pipes, policy)
    finally:
        pipes.close()


class Cold:
    """An engine started as a program of its own."""

    def __init__(self, pipes: Pipes, policy: Policy) -> None:
        kept = (pipes.data, pipes.control, pipes.handover)
        arguments = [str(os.getpid()), *map(str, kept), json.dumps(policy.as_dict())]
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-m", "execution.engine.child", *arguments],
            stdin=pipes.jobs,
            stdout=subprocess.DEVNULL,
            stderr=pipes.errors,
            env=ENVIRONMENT,
            cwd="/",
            pass_fds=kept,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._process.pid

    def poll(self) -> int | None:
        """Return the exit status, None while the process runs."""
        return self._process.poll()

    def wait(self) -> int:
        """Wait for the end and return the exit status."""
        return self._process.wait()

    def kill(self) -> None:
        """Send SIGKILL to the process group, if it still runs."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)


class Forked:
    """An engine that the fork server copied from itself; its news come on a pipe."""

    def __init__(self, server: ForkServer, name: str, news: int) -> None:
        self._server, self._name = server, name
        self._news, self._rest = news, b""
        self._pid: int | None = None
        self._returncode: int | None = None
        self._lock = threading.Lock()

    @property
    def pid(self) -> int:
        """Return the process id. Raises `EngineNotStarted`."""
        if self._pid is None:
            self._listen(START_SECONDS, until_ended=False)
        if self._pid is None:
            message = "the fork server started no engine"
            raise EngineNotStarted(message)
        return self._pid

    def poll(self) -> int | None:
        """Return the exit status, None while the process runs."""
        self._listen(0)
        return self._returncode

    def wait(self) -> int:
        """Wait for the end and return the exit status."""
        while self._returncode is None:
            self._listen(START_SECONDS)
        return self._returncode

    def kill(self) -> None:
        """Have the process group killed, if it still runs."""
        if self._returncode is None:
            self._server.kill(self._name)

    def _listen(self, seconds: float, *, until_ended: bool = True) -> None:
        """Take what news there are within `seconds`."""
        deadline = time.monotonic() + seconds
        with self._lock:
            while self._returncode is None and (until_ended or self._pid is None):
                left = max(0.0, deadline - time.monotonic())
                if not select.select([self._news], [], [], left)[0]:
                    return
                self._take(os.read(self._news, 4096))

    def _take(self, chunk: bytes) -> None:
        """Read whole lines; an end without a status means that the fork server died, and all."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            news = json.loads(line)
            self._pid = news.get("pid", self._pid)
            self._returncode = news.get("returncode", self._returncode)
        if not chunk and self._returncode is None:
            self._returncode = -signal.SIGKILL
        if self._returncode is not None:
            os.close(self._news)


class ForkServer:
    """The worker's side of its fork server. Start it on the main thread: it dies with that."""

    def __init__(self) -> None:
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [
                    sys.executable, "-I", "-m", "execution.engine.forkserver",
                    str(os.getpid()), str(theirs.fileno()),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=ENVIRONMENT,
                cwd="/",
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )  # fmt: skip
        self._is_ready = False
        self._lock = threading.Lock()

    @property
    def pid(self) -> int:
        """Return the process id of the server."""
        return self._process.pid

    def is_alive(self) -> bool:
        """Tell whether the server is still there."""
        return self._process.poll() is None

    def start(self, pipes: Pipes, policy: Policy) -> Forked:
        """Ask for an engine; it may still be loading when this returns."""
        name = uuid.uuid4().hex
        news, status = os.pipe()
        request = json.dumps({"start": name, "policy": policy.as_dict()}).encode()
        descriptors = [
            pipes.jobs, pipes.data, pipes.control, pipes.errors, pipes.handover, status,
        ]  # fmt: skip
        try:
            self._await_ready()
            with self._lock:
                socket.send_fds(self._channel, [request], descriptors)
        except OSError as error:
            os.close(news)
            message = "the fork server does not answer"
            raise EngineNotStarted(message) from error
        finally:
            os.close(status)
        return Forked(self, name, news)

    def kill(self, name: str) -> None:
        """End one engine. With the server gone, it is gone already."""
        with contextlib.suppress(OSError), self._lock:
            self._channel.send(json.dumps({"kill": name}).encode())

    def close(self) -> None:
        """End the server and every engine that it forked."""
        self._process.kill()
        self._process.wait()
        self._channel.close()

    def _await_ready(self) -> None:
        """Wait until the server has loaded. Raises `OSError` where it does not."""
        with self._lock:
            if not self._is_ready:
                self._channel.settimeout(START_SECONDS)
                self._is_ready = self._channel.recv(16) == b"ready"
            if not self._is_ready:
                raise BrokenPipeError


_servers: dict[int, ForkServer] = {}
_servers_lock = threading.Lock()


def warm() -> None:
    """Start this process's fork server, without waiting until it has loaded."""
    if CAN_FORK:
        _server()


def _server() -> ForkServer:
    """Return this process's fork server, a new one where it died."""
    with _servers_lock:
        server = _servers.get(os.getpid())
        if server is None or not server.is_alive():
            if server is not None:
                log.warning("fork_server_died", pid=server.pid)
                server.close()
            server = _servers[os.getpid()] = ForkServer()
            atexit.register(_close, os.getpid(), server)
        return server


def _close(pid: int, server: ForkServer) -> None:
    """End the server with the process that started it, not with a fork of that process."""
    if pid == os.getpid():
        server.close()
