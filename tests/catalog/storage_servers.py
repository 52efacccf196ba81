"""Storage servers of a test's own, which answer as it says."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar


class Asked(BaseHTTPRequestHandler):
    """One request to a server; `answers` says what it gets."""

    answers: ClassVar[Callable[[Asked], None]]
    protocol_version = "HTTP/1.1"
    body = b""

    def do_GET(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        type(self).answers(self)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        self.do_GET()

    def do_PUT(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


def ok(asked: Asked) -> None:
    """Answer with the Host header that came."""
    content = asked.headers["Host"].encode()
    asked.send_response(200)
    asked.send_header("Content-Length", str(len(content)))
    asked.end_headers()
    asked.wfile.write(content)


def redirecting(status: int, **headers: str) -> Callable[[Asked], None]:
    """Answer with a redirect."""

    def answer(asked: Asked) -> None:
        asked.send_response(status)
        asked.send_header("Content-Length", "0")
        for name, value in headers.items():
            asked.send_header(name.replace("_", "-"), value)
        asked.end_headers()

    return answer


@contextmanager
def serving(answers: Callable[[Asked], None], tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """Serve on a free port of this machine."""
    handler = type("Handler", (Asked,), {"answers": staticmethod(answers)})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
