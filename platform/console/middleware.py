"""Turns a `Problem` that a page raises into a page that says what to do."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from audit import services as audit
from observability import metrics
from problems import Problem


class ProblemPageMiddleware:
    """Render problems for people. The API renders its own before they come this far."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Pass the request on."""
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answer with the problem, as a fragment where htmx asked for one."""
        if not isinstance(exception, Problem):
            return None
        audit.record_denial(exception)
        metrics.PROBLEMS.labels(exception.code).inc()
        is_fragment = bool(request.headers.get("HX-Request"))
        template = "console/problem.html#notice" if is_fragment else "console/problem.html"
        context = {"problem": exception.as_dict(), "decision": exception.extra.get("decision")}
        return render(request, template, context, status=exception.status)
