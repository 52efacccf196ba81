"""Forks engines: a process with everything loaded and nothing attached, copied for each job.

A cold engine costs half a second of processor time, a fork of a loaded one a few milliseconds.
The server runs one thread and never a query, so that a fork finds no lock held. It serves one
worker process over a socket: `{"start": id, "policy": {…}}` with five descriptors (jobs, data,
control, errors, handover) and a sixth on which it writes the process id and, when the process has
ended, its exit status; `{"kill": id}` ends an engine with its group. It reaps what it forked, so
that it never signals a process id that has been given to somebody else. An engine enters the
sandbox first thing, before it waits for a job.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import selectors
import signal
import socket
import sys
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from execution import sandbox
from execution.engine import child

MAX_REQUEST_BYTES = 65536
ENGINE_NAME = "upend-engine"
DESCRIPTORS = 6
"""What comes with a request to start: jobs, data, control, errors, handover, status."""


@dataclass(frozen=True, slots=True)
class Forked:
    """One engine that runs, and where to say how it ends."""

    name: str
    pid: int
    status: int


class ForkServer:
    """The loop of the process."""

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel
        self.loaded = child.load()
        self.engines: dict[int, Forked] = {}
        self.wake_read, self.wake_write = os.pipe()
        for end in (self.wake_read, self.wake_write):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self.wake_write, warn_on_full_buffer=False)
        gc.collect()
        gc.freeze()  # the pages stay shared: no collection in an engine touches them

    def run(self) -> None:
        """Serve until the worker is gone."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.channel, selectors.EVENT_READ, self.hear)
            selector.register(self.wake_read, selectors.EVENT_READ, self.reap)
            while True:
                for key, _ in selector.select():
                    key.data()

    def hear(self) -> None:
        """Carry out one request."""
        text, descriptors, _, _ = socket.recv_fds(self.channel, MAX_REQUEST_BYTES, DESCRIPTORS)
        if not text:
            self.end()
        request: dict[str, Any] = json.loads(text)
        if "kill" in request:
            self.kill(request["kill"])
        else:
            policy = sandbox.Policy.of_dict(request["policy"])
            self.start(request["start"], policy, descriptors)

    def start(self, name: str, policy: sandbox.Policy, descriptors: list[int]) -> None:
        """Fork one engine."""
        server, status = os.getpid(), descriptors[-1]
        pid = os.fork()
        if pid == 0:
            try:
                self.become_engine(server, policy, descriptors)
            except BaseException:  # noqa: BLE001 - the parent logs what is printed here
                sys.__excepthook__(*sys.exc_info())
            os._exit(1)
        for descriptor in descriptors[:-1]:
            os.close(descriptor)
        self.engines[pid] = Forked(name, pid, status)
        self.tell(status, {"pid": pid})

    def become_engine(
        self, server: int, policy: sandbox.Policy, descriptors: list[int]
    ) -> NoReturn:
        """Let go of all that is the server's, then serve jobs."""
        os.setsid()
        sandbox.tie_to(server)
        sandbox.call_it(ENGINE_NAME)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        jobs, data, control, errors, handover, _ = descriptors
        os.dup2(errors, sys.stderr.fileno())
        kept = replace(policy, descriptors=(jobs, data, control))
        sandbox.enter(kept, socket.socket(fileno=handover))
        stream = socket.socket(fileno=jobs)
        child.serve(self.loaded, jobs=stream, data=data, control=control, scratch=policy.scratch)
        raise SystemExit

    def kill(self, name: str) -> None:
        """End an engine, if it has not ended by itself."""
        for forked in self.engines.values():
            if forked.name == name:
                signal_group(forked.pid)

    def reap(self) -> None:
        """Say of every engine that has ended how it did."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.wake_read, 4096)
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            forked = self.engines.pop(pid)
            self.tell(forked.status, {"returncode": os.waitstatus_to_exitcode(status)})
            os.close(forked.status)

    def tell(self, status: int, what: dict[str, int]) -> None:
        """Write one line of news, if anyone still listens."""
        with contextlib.suppress(BrokenPipeError):
            os.write(status, json.dumps(what).encode() + b"\n")

    def end(self) -> NoReturn:
        """Take every engine along."""
        for forked in self.engines.values():
            signal_group(forked.pid)
        os._exit(0)


def signal_group(pid: int) -> None:
    """Kill a process that has not been reaped yet, and all it started.

    Between the fork and its `setsid` there is no such group; the process itself is always there.
    """
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def main(parent_pid: int, channel: int) -> None:
    """Load, say so, and serve."""
    sandbox.tie_to(parent_pid)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is the worker's to handle
    server = ForkServer(socket.socket(fileno=channel))
    server.channel.send(b"ready")
    server.run()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
