"""Gives every request an id that follows it into logs, the ledger and the answer."""

# ruff: noqa: SLF001 - what Django's `load_middleware` fills has no other name

import re
import uuid
from collections.abc import Callable
from typing import Any, ClassVar, cast

import structlog
from django.core.handlers.base import BaseHandler
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpRequest, HttpResponse, JsonResponse
from redis.exceptions import RedisError

from problems import Problem

log = structlog.get_logger()
View = Callable[[HttpRequest], HttpResponse]
UNFRAMED = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
}
"""Should a browser ever show an answer that a program asked for, it does nothing."""
WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{8,64}")


class BrokerUnreachable(Problem):
    """Logins and device codes need the broker's short memory, and it does not answer."""

    code: ClassVar[str] = "broker-unreachable"
    status: ClassVar[int] = 503
    title: ClassVar[str] = "The broker cannot be reached"


class RequestIdMiddleware:
    """Accept a well-formed `X-Request-Id` or make one; echo it; bind it to the log context."""

    def __init__(self, get_response: View) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Carry the id through one request."""
        offered = request.headers.get("X-Request-Id", "")
        request_id = offered if WELL_FORMED.fullmatch(offered) else uuid.uuid4().hex
        request.request_id = request_id  # type: ignore[attr-defined]
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        response = self.get_response(request)
        response["X-Request-Id"] = request_id
        return response

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Say so where a view stumbled over the broker, such as the login form's rate limit."""
        if not isinstance(error, RedisError):
            return None
        log.warning("broker.unreachable", path=request.path, error=str(error))
        problem = BrokerUnreachable(
            "Upend's short memory (Valkey or Redis) does not answer. Nothing is lost.",
            hint="Try again shortly; an operator sees the cause at /health/ready.",
        )
        headers = {"Retry-After": "10"}
        if "text/html" in request.headers.get("Accept", ""):
            text = f"{problem.title}. {problem.detail} {problem.hint}"
            return HttpResponse(text, status=503, content_type="text/plain", headers=headers)
        document = problem.as_dict() | {"instance": request.path}
        kind = "application/problem+json"
        return JsonResponse(document, status=503, content_type=kind, headers=headers)


class ProgramsMiddleware:
    """Answer a program's request without what only browsers need: sessions, forms, pages.

    Whoever shows a bearer has no session, and no browser shows one unasked. Nine layers that would
    do nothing for such a request cost as much as deciding what it may do.
    """

    def __init__(self, get_response: View) -> None:
        self._browsers = get_response
        self._programs = _views(get_response)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Take the way of a program, or the one of a browser."""
        scheme = request.headers.get("Authorization", "")[:7].lower()
        if scheme != "bearer " or not request.path_info.startswith("/api/"):
            return self._browsers(request)
        request.get_host()  # raises where the name is not one of ours, as the common layer does
        response = self._programs(request)
        for name, value in UNFRAMED.items():
            response.headers.setdefault(name, value)
        return response


def _views(get_response: View) -> View:
    """Return what calls the views, as Django's own handler does behind the last middleware."""
    handler: Any = BaseHandler()
    handler._view_middleware = []
    handler._template_response_middleware = []
    handler._exception_middleware = [RequestIdMiddleware(get_response).process_exception]
    views: Any = convert_exception_to_response(handler._get_response)
    return cast("View", views)
