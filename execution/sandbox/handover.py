"""How a process gives its listeners to the relay: one message over a Unix socket, then silence."""

from __future__ import annotations

import contextlib
import socket

LISTENERS, NONE = b"L", b"N"
MAX_ENDPOINTS = 64


def give(handover: socket.socket, listeners: list[socket.socket]) -> None:
    """Send the listeners, in the order of the policy's endpoints, and keep nothing."""
    # A relay that is gone shows as connections refused, not here.
    with handover, contextlib.suppress(BrokenPipeError):
        if listeners:
            socket.send_fds(handover, [LISTENERS], [one.fileno() for one in listeners])
        else:
            handover.send(NONE)
    for listener in listeners:
        listener.close()


def take(handover: socket.socket) -> list[socket.socket]:
    """Return the listeners; none where the process has no network of its own, or is gone."""
    try:
        _, descriptors, _, _ = socket.recv_fds(handover, 1, MAX_ENDPOINTS)
    except ConnectionError:
        return []
    return [socket.socket(fileno=descriptor) for descriptor in descriptors]
