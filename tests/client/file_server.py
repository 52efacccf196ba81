"""A control plane's file door and a bucket on real sockets, with switches for what can go wrong."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

PROBLEM = b'{"code": "grant-revoked", "detail": "The grant was revoked.", "hint": "Ask again."}'


@dataclass
class Files:
    """What is served, and what was asked for."""

    paths: list[Path]
    bearer: str = "the-file-bearer"
    revoked: bool = False
    bucket_is_down: bool = False
    bytes_sent: int = 0
    authorizations_at_bucket: list[str] = field(default_factory=list)
    base_url: str = ""
    bucket_url: str = ""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    files: ClassVar[Files]

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Keep the test's output clean."""

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        raise NotImplementedError

    def send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


class Door(_Handler):
    """`/files/<grant>/<ordinal>`: authorized now, then 307 to the bucket."""

    def answer(self) -> None:
        files = self.files
        if self.headers.get("Authorization") != f"Bearer {files.bearer}" or files.revoked:
            self.send(403, PROBLEM, Content_Type="application/problem+json")
            return
        ordinal = self.path.rpartition("/")[2]
        self.send(307, b"", Location=f"{files.bucket_url}/{ordinal}?signature=of-a-minute")


class Bucket(_Handler):
    """Ranged reads of the files, by ordinal."""

    def answer(self) -> None:
        files = self.files
        files.authorizations_at_bucket.append(self.headers.get("Authorization", ""))
        if files.bucket_is_down:
            self.send(503, b"")
            return
        ordinal = int(self.path.partition("?")[0].rpartition("/")[2])
        data = files.paths[ordinal].read_bytes()
        first, last = 0, len(data) - 1
        if wanted := self.headers.get("Range"):
            start, _, end = wanted.removeprefix("bytes=").partition("-")
            first, last = int(start), min(int(end or last), last)
        body = data[first : last + 1]
        if self.command == "GET":
            files.bytes_sent += len(body)
        span = f"bytes {first}-{last}/{len(data)}"
        self.send(206 if wanted else 200, body, Content_Range=span, ETag='"1"')


@contextmanager
def serving(files: Files) -> Generator[Files]:
    """Serve `files` until the block ends."""
    door = ThreadingHTTPServer(("127.0.0.1", 0), type("D", (Door,), {"files": files}))
    bucket = ThreadingHTTPServer(("127.0.0.1", 0), type("B", (Bucket,), {"files": files}))
    files.base_url = f"http://127.0.0.1:{door.server_port}/files/grant-1/"
    files.bucket_url = f"http://localhost:{bucket.server_port}"
    threads = [threading.Thread(target=s.serve_forever, args=(0.05,)) for s in (door, bucket)]
    for thread in threads:
        thread.start()
    try:
        yield files
    finally:
        for server in (door, bucket):
            server.shutdown()
            server.server_close()
        for thread in threads:
            thread.join()
