"""Counts, times, traces and logs each request by its route, never by what it carried."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog
from django.http import HttpRequest, HttpResponse

from observability import metrics, tracing

METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
UNKNOWN = "unmatched"
QUIET = frozenset({"health/live", "health/ready", "metrics"})
"""Routes that machines ask every few seconds: counted, and logged only where they fail."""

log = structlog.get_logger("upend.web")


class ObserveMiddleware:
    """Comes right after the request id, so that a log line has it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Watch one request."""
        began = time.perf_counter()
        method = str(request.method)
        method = method if method in METHODS else "OTHER"
        with tracing.entering(f"HTTP {method}", _trace_of(request)) as span:
            if span.trace_id:
                structlog.contextvars.bind_contextvars(trace_id=span.trace_id)
            response = self.get_response(request)
            route, status = route_of(request), response.status_code
            span.note(http_route=route, http_method=method, http_status=status)
            if status >= 500:  # noqa: PLR2004 - the server's own failures
                span.failed(str(status))
        seconds = time.perf_counter() - began
        metrics.HTTP_REQUESTS.labels(method, route, f"{status // 100}xx").inc()
        metrics.HTTP_SECONDS.labels(method, route).observe(seconds)
        if route not in QUIET or status >= 400:  # noqa: PLR2004 - all that failed
            log.info(
                "request",
                method=method,
                path=path_of(request, route),
                status=status,
                milliseconds=round(seconds * 1000, 1),
            )
        return response


def route_of(request: HttpRequest) -> str:
    """Return the template of the address, such as `api/v1/queries/<uuid:query>`."""
    match = request.resolver_match
    return (match.route or "/") if match is not None else UNKNOWN


def path_of(request: HttpRequest, route: str) -> str:
    """Return the path to log: without the query, and by its template where it holds a secret."""
    return f"/{route}" if route.startswith("accounts/") else request.path


def _trace_of(request: HttpRequest) -> dict[str, str]:
    parent = request.headers.get("traceparent", "")
    return {"traceparent": parent} if parent else {}
