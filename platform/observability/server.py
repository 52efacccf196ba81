"""Answers scrapes of a worker, which has no web server: one thread, one page, the same rules."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import structlog

from observability import access, registry

log = structlog.get_logger(__name__)


def serve(*, port: int, token: str) -> ThreadingHTTPServer | None:
    """Answer `/metrics` on `port`: everywhere with a `token`, else to this machine alone.

    None where the port is taken: another worker of this machine answers for both then.
    """

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Answer with the numbers of this machine, or not at all."""
            admitted = self.path == "/metrics" and access.is_admitted(
                address=str(self.client_address[0]),
                authorization=self.headers.get("Authorization", ""),
                token=token,
                is_forwarded="X-Forwarded-For" in self.headers or "Forwarded" in self.headers,
            )
            if not admitted:
                self.send_error(401 if token else 404)
                return
            text = registry.exposition(with_readers=False)
            self.send_response(200)
            self.send_header("Content-Type", registry.CONTENT_TYPE)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            """Say nothing of each scrape."""

    host = "0.0.0.0" if token else "127.0.0.1"  # noqa: S104 - only its bearer is answered
    try:
        server = ThreadingHTTPServer((host, port), Page)
    except OSError as error:
        log.warning("worker_metrics_not_served", port=port, error=error.strerror)
        return None
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server
