"""Carries TCP to the suite's PostgreSQL, which listens on a socket file: as a customer's would."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from django.db import connection


@contextmanager
def relay() -> Iterator[int]:
    """Listen on a free port of the loopback; yield it."""
    given = connection.get_connection_params()
    path = f"{given['host']}/.s.PGSQL.{given.get('port') or 5432}"
    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving = threading.Thread(target=_serve, args=(listening, path))
        serving.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
        serving.join()


def _serve(listening: socket.socket, path: str) -> None:
    carrying: list[threading.Thread] = []
    with suppress(OSError):  # the listener was shut down
        while True:
            ours, _ = listening.accept()
            carrying.append(threading.Thread(target=_join, args=(ours, path)))
            carrying[-1].start()
    for one in carrying:
        one.join()


def _join(ours: socket.socket, path: str) -> None:
    with ours, socket.socket(socket.AF_UNIX) as theirs:
        theirs.connect(path)
        back = threading.Thread(target=_carry, args=(theirs, ours))
        back.start()
        _carry(ours, theirs)
        back.join()


def _carry(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(2**16):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
