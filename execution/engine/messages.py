"""How jobs travel to an engine: a length, then JSON; several may follow each other on one pipe."""

from __future__ import annotations

import json
import struct
from typing import Any, BinaryIO

LENGTH = struct.Struct(">Q")


def send(stream: BinaryIO, message: dict[str, Any]) -> None:
    """Write one message whole."""
    stream.write(packed(message))
    stream.flush()


def packed(message: dict[str, Any]) -> bytes:
    """Return a message as it travels."""
    body = json.dumps(message).encode()
    return LENGTH.pack(len(body)) + body


def receive(stream: BinaryIO) -> dict[str, Any] | None:
    """Return the next message; None where the other side has closed, whole or in the middle."""
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    size = LENGTH.unpack(head)[0]
    body = stream.read(size)
    if len(body) < size:
        return None
    message: dict[str, Any] = json.loads(body)
    return message
