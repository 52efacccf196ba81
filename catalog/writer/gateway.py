"""A writer's way to a customer's store: signed here, to checked addresses, without redirects.

The writer's engine resolves names by itself, follows redirects, and uses the keys that it was
given even when they have ended. So it gets none: it speaks plain HTTP to this process, on a port
of the loopback that answers to its token alone. Each request goes on under keys that hold now, to
an address that was checked for its connection, encrypted as the bucket asks.
"""

from __future__ import annotations

import hmac
import io
import re
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import IO, Any, cast
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.sax.saxutils import escape

from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError

from catalog import storage
from catalog.models import Catalog
from catalog.storage.endpoints import EndpointRefused, Unresolved
from catalog.storage.guard import BLOCK_BYTES, REDIRECTS, plain_client
from catalog.storage.signing import UNSIGNED, authorized
from catalog.writer import keys
from problems import Problem

CONNECTIONS = 16
CONNECT_SECONDS = 10.0
READ_SECONDS = 120.0
PASSED_ON = ("content-length", "content-md5", "content-type", "if-match", "if-none-match", "range")
NOT_RETURNED = frozenset({"connection", "keep-alive", "transfer-encoding", "server", "date"})
CREDENTIAL = re.compile(r"Credential=([0-9a-f]+)/")
FORBIDDEN, UNAVAILABLE = 403, 503
"""What a writer gives up at, and what it tries again."""


@dataclass(frozen=True, slots=True)
class Way:
    """How a writer reaches its lake's files: what it is told, and who carries it there, if any."""

    given: keys.Given
    gateway: Gateway | None = None

    @property
    def refusal(self) -> Problem | None:
        """Return why requests were not passed on, which the engine can only call a failure."""
        return self.gateway.refusal if self.gateway else None

    def close(self) -> None:
        """End what carries it."""
        if self.gateway:
            self.gateway.close()


@contextmanager
def way(catalog: Catalog) -> Iterator[Way]:
    """Open a writer's way to a catalog's files for as long as it lives."""
    opened = open_way(catalog)
    try:
        yield opened
    finally:
        opened.close()


def open_way(catalog: Catalog) -> Way:
    """Return a writer's way, which the caller closes. Upend's own store is reached directly.

    Raises `EndpointRefused` where a customer's name leads elsewhere by now.
    """
    store = storage.of_catalog(catalog)
    if not store.is_guarded:
        return Way(keys.given(store, catalog.prefix))
    store.recheck()
    gateway = Gateway(store, catalog.prefix, tuple(catalog.registered_prefixes))
    return Way(gateway.given, gateway)


class Gateway:
    """Carries one writer's requests for objects below `prefix`, until it is closed.

    Below the prefixes in `readable` it carries what reads.
    """

    def __init__(self, store: storage.Store, prefix: str, readable: tuple[str, ...] = ()) -> None:
        self.store = store
        self.prefix = prefix
        self.readable = readable
        self.token = secrets.token_hex(32)
        self.refusal: Problem | None = None
        self.client = plain_client(
            connect_seconds=CONNECT_SECONDS, read_seconds=READ_SECONDS, connections=CONNECTIONS
        )
        self._server = _Server(("127.0.0.1", 0), partial(_Carrier, self))
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.25}, daemon=True
        )
        self._thread.start()

    @property
    def given(self) -> keys.Given:
        """Return what a writer is told: an address, and a key that is good for nothing else."""
        location = self.store.location
        return {
            "endpoint": f"http://127.0.0.1:{self._server.server_port}",
            "region": location.region,
            "style": "path",
            "scope": f"s3://{location.bucket}/{self.prefix}",
            "access_key_id": self.token,
            "secret_access_key": self.token,
            "session_token": "",
        }

    def close(self) -> None:
        """End every connection."""
        self._server.shutdown()
        self._thread.join()
        self._server.end_connections()
        self._server.server_close()
        self.client.clear()

    def send(self, asked: Asked) -> BaseHTTPResponse:
        """Send a request on. Raises `Problem` or urllib3's `HTTPError`."""
        headers = asked.headers | (self.store.encryption_headers if asked.makes_object else {})
        url, signed = authorized(
            self.store.location,
            self.store.credentials,
            asked.method,
            asked.key,
            query=asked.query,
            headers=headers,
            payload_sha256=asked.payload_sha256,
        )
        answer = self.client.request(
            asked.method,
            url,
            headers=signed,
            body=cast("IO[bytes] | None", asked.body),
            redirect=False,
            preload_content=False,
            decode_content=False,
        )
        if answer.status in REDIRECTS:
            answer.release_conn()
            raise EndpointRefused(
                f"{self.store.location.endpoint} answered {answer.status}: it sends elsewhere.",
                hint="Redirects are not followed. Name the endpoint and region of the bucket.",
            )
        return answer


@dataclass(frozen=True, slots=True)
class Asked:
    """A writer's request, as it is sent on."""

    method: str
    key: str
    query: tuple[tuple[str, str], ...]
    headers: dict[str, str]
    payload_sha256: str
    body: io.BufferedIOBase | None

    @property
    def makes_object(self) -> bool:
        """Tell whether it begins an object, at once or by parts: only these say how to encrypt."""
        names = {name for name, _ in self.query}
        begins = self.method == "POST" and "uploads" in names
        return begins or (self.method == "PUT" and "uploadId" not in names)


class _Body(io.BufferedIOBase):
    """Reads the body of one request and no further."""

    def __init__(self, stream: io.BufferedIOBase, size: int) -> None:
        super().__init__()
        self._stream = stream
        self._left = size

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        wanted = self._left if size is None or size < 0 else min(size, self._left)
        content = self._stream.read(wanted) if wanted else b""
        self._left -= len(content)
        return content


class _Server(ThreadingHTTPServer):
    """Knows its connections and their threads, so that closing it waits for no next request.

    The threads keep no process from ending.
    """

    request_queue_size = 64

    def __init__(self, *given: Any) -> None:
        self._open: dict[socket.socket, threading.Thread] = {}
        self._lock = threading.Lock()
        super().__init__(*given)

    def process_request(self, request: Any, client_address: Any) -> None:
        thread = threading.Thread(
            target=self.process_request_thread, args=(request, client_address), daemon=True
        )
        with self._lock:
            self._open[request] = thread
        thread.start()

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def end_connections(self) -> None:
        """Have the threads that wait for a next request find none, and wait for them."""
        with self._lock:
            held = list(self._open.items())
        for one, _ in held:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for _, thread in held:
            thread.join(CONNECT_SECONDS)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: the writer was killed, and its job says so."""


class _Carrier(BaseHTTPRequestHandler):
    """One connection of the writer's engine."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def __init__(self, gateway: Gateway, *given: Any) -> None:
        self._gateway = gateway
        super().__init__(*given)

    def _carry(self) -> None:
        body = _Body(self.rfile, int(self.headers.get("content-length") or 0))
        try:
            answer = self._gateway.send(self._asked(body))
        except Problem as problem:
            self._refuse(body, problem)
            return
        except (HTTPError, OSError) as error:
            self._say(body, UNAVAILABLE, "ServiceUnavailable", type(error).__name__)
            return
        try:
            self._return(answer)
        finally:
            answer.release_conn()

    do_DELETE = do_GET = do_HEAD = do_POST = do_PUT = _carry  # noqa: N815 - as the base class calls them

    def _asked(self, body: _Body) -> Asked:
        """Return the request. Raises `EndpointRefused` for what is not the writer's to ask."""
        gateway, location = self._gateway, self._gateway.store.location
        signed = CREDENTIAL.search(self.headers.get("authorization", ""))
        if signed is None or not hmac.compare_digest(signed[1], gateway.token):
            raise _Stranger("Whoever asks is not the writer.")
        parts = urlsplit(self.path)
        bucket, _, key = unquote(parts.path).removeprefix("/").partition("/")
        query = tuple(parse_qsl(parts.query, keep_blank_values=True))
        asked_for = key or dict(query).get("prefix", "")
        reads = self.command in {"GET", "HEAD"}
        places = (gateway.prefix, *gateway.readable) if reads else gateway.prefix
        if bucket != location.bucket or not asked_for.startswith(places):
            raise EndpointRefused(f"The writer asked for {key!r}, outside of its lake.")
        if not reads:
            gateway.store.refuse_read_only()
        headers = {name: text for name in PASSED_ON if (text := self.headers.get(name))}
        digest = self.headers.get("x-amz-content-sha256") or UNSIGNED
        has_body = self.command in {"POST", "PUT"}
        return Asked(self.command, key, query, headers, digest, body if has_body else None)

    def _return(self, answer: BaseHTTPResponse) -> None:
        has_length = "content-length" in answer.headers or self.command == "HEAD"
        content = None if has_length else answer.read()
        self.send_response_only(answer.status)
        for name, text in answer.headers.items():
            if name.lower() not in NOT_RETURNED:
                self.send_header(name, text)
        if content is not None:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "HEAD":
            return
        pieces = answer.stream(BLOCK_BYTES) if content is None else [content]
        for piece in pieces:
            self.wfile.write(piece)

    def _refuse(self, body: _Body, problem: Problem) -> None:
        passes = isinstance(problem, storage.StorageUnreachable | Unresolved)
        if not isinstance(problem, _Stranger):
            self._gateway.refusal = problem
        status = UNAVAILABLE if passes else FORBIDDEN
        self._say(body, status, "AccessDenied", problem.detail)

    def _say(self, body: _Body, status: int, code: str, text: str) -> None:
        while body.read(BLOCK_BYTES):
            pass  # or the next request would begin in the middle of this one
        content = f"<Error><Code>{code}</Code><Message>{escape(text)}</Message></Error>".encode()
        self.send_response_only(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


class _Stranger(EndpointRefused):
    """Another process of this host asked."""
