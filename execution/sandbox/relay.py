"""The way out: carries bytes from confined processes to the object store, and nowhere else.

A process of its own with an empty environment. Its worker sends `[endpoints]` with two sockets
for each confined process: on the first come the process's listeners, the second says by its end
that the process is gone. Bytes move inside the kernel (splice) and are never looked at: TLS stays
between the engine and the store.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import selectors
import socket
import sys
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from execution.sandbox import handover

PIPE_BYTES = 2**18
TURNS = 8
"""Chunks that one direction may move before the others have their turn."""
CONNECT_SECONDS = 10.0
CONNECTIONS_PER_PROCESS = 128
DIALLING_THREADS = 8
MESSAGE_BYTES = 65536
Dialled = list[tuple[str, int]]
"""Where an endpoint really is: what to try, in order."""
READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class Flow:
    """One direction of a connection: what `source` sends goes to `target`, through a pipe."""

    def __init__(self, source: socket.socket, target: socket.socket) -> None:
        self.source, self.target = source, target
        self.read_end, self.write_end = os.pipe()
        with contextlib.suppress(OSError):  # many pipes of one user get the small size
            fcntl.fcntl(self.write_end, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self.held = 0
        self.is_over = False

    def move(self) -> None:
        """Move what can be moved now. Raises `OSError` where a side is gone."""
        with contextlib.suppress(BlockingIOError):
            for _ in range(TURNS):
                if not self.held and not self._fill():
                    return
                self.held -= os.splice(
                    self.read_end, self.target.fileno(), self.held, flags=os.SPLICE_F_NONBLOCK
                )

    def _fill(self) -> bool:
        self.held = os.splice(
            self.source.fileno(), self.write_end, PIPE_BYTES, flags=os.SPLICE_F_NONBLOCK
        )
        if not self.held:
            self.is_over = True
            self.target.shutdown(socket.SHUT_WR)
        return bool(self.held)

    def close(self) -> None:
        """Free the pipe."""
        os.close(self.read_end)
        os.close(self.write_end)


class Connection:
    """An engine's connection and the one to the store that stands behind it."""

    def __init__(self, loop: Relay, inside: socket.socket, outside: socket.socket) -> None:
        self.loop, self.inside, self.outside = loop, inside, outside
        for one in (inside, outside):
            one.setblocking(False)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.flows = (Flow(inside, outside), Flow(outside, inside))
        self.events = {inside: 0, outside: 0}
        self.is_open = True
        self.turn()

    def turn(self) -> None:
        """Move bytes both ways, then say what to wait for."""
        if not self.is_open:
            return
        try:
            for flow in self.flows:
                if not flow.is_over:
                    flow.move()
        except OSError:
            self.close()
            return
        if all(flow.is_over for flow in self.flows):
            self.close()
            return
        self._wait()

    def _wait(self) -> None:
        wanted = dict.fromkeys(self.events, 0)
        for flow in self.flows:
            if flow.held:
                wanted[flow.target] |= WRITE
            elif not flow.is_over:
                wanted[flow.source] |= READ
        for one, events in wanted.items():
            self.loop.watch(one, self.events[one], events, self.turn)
        self.events = wanted

    def close(self) -> None:
        """Close both sides."""
        self.is_open = False
        for one, events in self.events.items():
            self.loop.watch(one, events, 0, self.turn)
            one.close()
        for flow in self.flows:
            flow.close()


class Link:
    """All that belongs to one confined process."""

    def __init__(
        self,
        loop: Relay,
        endpoints: list[Dialled],
        outer: socket.socket,
        life: socket.socket,
    ) -> None:
        self.loop, self.endpoints, self.outer, self.life = loop, endpoints, outer, life
        self.listeners: list[socket.socket] = []
        self.connections: list[Connection] = []
        self.dialling = 0
        self.is_open = True
        loop.watch(outer, 0, READ, self.take)
        loop.watch(life, 0, READ, self.close)

    def take(self) -> None:
        """Take the listeners, once; nothing more is ever read from the process."""
        if not self.is_open:
            return
        self.loop.watch(self.outer, READ, 0, self.take)
        self.listeners = handover.take(self.outer)
        self.outer.close()
        for listener, endpoint in zip(self.listeners, self.endpoints, strict=False):
            listener.setblocking(False)
            self.loop.watch(listener, 0, READ, partial(self.accept, listener, endpoint))

    def accept(self, listener: socket.socket, endpoint: Dialled) -> None:
        """Take one connection and dial the endpoint for it, elsewhere: names may take time."""
        try:
            inside, _ = listener.accept()
        except OSError:
            return
        self.connections = [one for one in self.connections if one.is_open]
        if len(self.connections) + self.dialling >= CONNECTIONS_PER_PROCESS:
            inside.close()
            return
        self.dialling += 1
        self.loop.dial(endpoint, lambda outside: self.join(inside, outside))

    def join(self, inside: socket.socket, outside: socket.socket | None) -> None:
        """Carry bytes between the two; a store that does not answer ends the engine's side."""
        self.dialling -= 1
        if outside is None or not self.is_open:
            inside.close()
            if outside is not None:
                outside.close()
            return
        self.connections.append(Connection(self.loop, inside, outside))

    def close(self) -> None:
        """Close all of it: the process is gone."""
        if not self.is_open:
            return
        self.is_open = False
        if self.outer.fileno() >= 0:
            self.loop.watch(self.outer, READ, 0, self.take)
            self.outer.close()
        self.loop.watch(self.life, READ, 0, self.close)
        self.life.close()
        for listener in self.listeners:
            self.loop.watch(listener, READ, 0, self.close)
            listener.close()
        for connection in self.connections:
            if connection.is_open:
                connection.close()


class Relay:
    """The loop."""

    def __init__(self, control: socket.socket) -> None:
        self.control = control
        self.selector = selectors.DefaultSelector()
        self.dialled: deque[Callable[[], None]] = deque()
        self.woken, self.waker = os.pipe()
        os.set_blocking(self.woken, False)
        self.threads = ThreadPoolExecutor(DIALLING_THREADS)
        self.watch(control, 0, READ, self.hear)
        self.watch(self.woken, 0, READ, self.finish_dialling)

    def run(self) -> None:
        """Serve until the worker is gone."""
        while True:
            for key, _ in self.selector.select():
                key.data()  # may be stale, when one before it closed this: each looks first

    def watch(
        self, what: socket.socket | int, before: int, events: int, then: Callable[[], None]
    ) -> None:
        """Wait for `events` on `what`, where `before` was waited for so far."""
        if events == before:
            return
        if not before:
            self.selector.register(what, events, then)
        elif not events:
            self.selector.unregister(what)
        else:
            self.selector.modify(what, events, then)

    def hear(self) -> None:
        """Take one more process on, or leave with the worker."""
        text, descriptors, _, _ = socket.recv_fds(self.control, MESSAGE_BYTES, 2)
        if not text:
            os._exit(0)
        outer, life = (socket.socket(fileno=one) for one in descriptors)
        Link(self, [_dialled(one) for one in json.loads(text)], outer, life)

    def dial(self, endpoint: Dialled, then: Callable[[socket.socket | None], None]) -> None:
        """Connect in a thread, and call `then` in the loop."""

        def connect() -> None:
            found = _connected(endpoint)
            self.dialled.append(lambda: then(found))
            os.write(self.waker, b"!")

        self.threads.submit(connect)

    def finish_dialling(self) -> None:
        """Go on with whoever waits for a connection."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.woken, MESSAGE_BYTES)
        while self.dialled:
            self.dialled.popleft()()


def _dialled(one: dict[str, Any]) -> Dialled:
    """Return what stands for an endpoint: its pinned addresses, or its name to look up."""
    return [(host, one["port"]) for host in one["addresses"] or [one["host"]]]


def _connected(endpoint: Dialled) -> socket.socket | None:
    """Return a connection to the first that answers."""
    for one in endpoint:
        with contextlib.suppress(OSError):
            return socket.create_connection(one, timeout=CONNECT_SECONDS)
    return None


def main(control: int) -> None:
    """Serve the worker at the other end of `control`."""
    Relay(socket.socket(fileno=control)).run()


if __name__ == "__main__":
    main(int(sys.argv[1]))
