"""A bucket behind presigned URLs: ranges of GET with the right signature, and never HEAD."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

SIGNATURE = "X-Amz-Signature=abc%2Fdef"


@dataclass
class SignedBucket:
    """What is served below `url`, and the (method, ordinal, range) of each answer."""

    paths: list[Path]
    url: str = ""
    asked: list[tuple[str, int, str]] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    bucket: ClassVar[SignedBucket]

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Keep the test's output clean."""

    def do_HEAD(self) -> None:
        self.answer(403, b"")

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        ordinal = int(path.rpartition("/")[2])
        span = self.headers.get("Range", "").removeprefix("bytes=")
        self.bucket.asked.append((self.command, ordinal, span))
        if query != SIGNATURE:
            self.answer(403, b"")
            return
        data = self.bucket.paths[ordinal].read_bytes()
        start, _, end = span.partition("-")
        body = data[int(start or 0) : int(end or len(data)) + 1]
        last = int(start or 0) + len(body) - 1
        self.answer(206 if span else 200, body, f"bytes {start}-{last}/{len(data)}" if span else "")

    def answer(self, status: int, body: bytes, span: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if span:
            self.send_header("Content-Range", span)
        self.end_headers()
        if body:
            self.wfile.write(body)


@contextmanager
def signed_bucket(paths: list[Path]) -> Generator[SignedBucket]:
    """Serve `paths` by ordinal until the block ends."""
    bucket = SignedBucket(paths)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("H", (_Handler,), {"bucket": bucket}))
    bucket.url = f"http://127.0.0.1:{server.server_port}/"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield bucket
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
