"""How jobs travel to an engine: a length, then JSON, and open files along with its first byte.

Several may follow each other on one socket.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Sequence
from typing import Any

LENGTH = struct.Struct(">Q")
MOST_FILES = 128
"""The system takes 253 at a time (SCM_MAX_FD in unix(7))."""


def send(stream: socket.socket, message: dict[str, Any], files: Sequence[int] = ()) -> None:
    """Write one message whole, with the descriptors `files`."""
    send_packed(stream, packed(message), files)


def send_packed(stream: socket.socket, body: bytes, files: Sequence[int] = ()) -> None:
    """Write what `packed` has made."""
    sent = socket.send_fds(stream, [body], list(files)) if files else 0
    stream.sendall(body[sent:])


def packed(message: dict[str, Any]) -> bytes:
    """Return a message as it travels."""
    body = json.dumps(message).encode()
    return LENGTH.pack(len(body)) + body


def receive(stream: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """Return the next message and the descriptors that came with it.

    None where the other side has closed, whole or in the middle.
    """
    head, files, flags, _ = socket.recv_fds(stream, LENGTH.size, MOST_FILES)
    if flags & socket.MSG_CTRUNC:
        message = "an engine was sent more files than it can take"
        raise OSError(message)
    rest = _exactly(stream, LENGTH.size - len(head)) if head else None
    body = None if rest is None else _exactly(stream, LENGTH.unpack(head + rest)[0])
    if body is None:
        for file in files:
            os.close(file)
        return None
    return json.loads(body), files


def _exactly(stream: socket.socket, size: int) -> bytes | None:
    """Return the next `size` bytes; None where fewer come."""
    found = bytearray(size)
    at = 0
    while at < size:
        read = stream.recv_into(memoryview(found)[at:])
        if not read:
            return None
        at += read
    return bytes(found)
