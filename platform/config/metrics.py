"""Answers Prometheus: the numbers of this machine's processes and of the queue in PostgreSQL."""

from __future__ import annotations

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from execution import gauges
from observability import access, metrics, registry

__all__ = ["gauges", "scrape"]
FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "Via")


@never_cache
@require_safe
def scrape(request: HttpRequest) -> HttpResponse:
    """Return the metrics to whom `observability.access` admits; to others there is no such page.

    With a token set, a request without it gets 401, as Prometheus expects; without one, 404.
    """
    admitted = access.is_admitted(
        address=str(request.META.get("REMOTE_ADDR", "")),
        authorization=request.headers.get("Authorization", ""),
        token=settings.METRICS_TOKEN,
        is_forwarded=settings.BEHIND_PROXY or any(name in request.headers for name in FORWARDED),
    )
    if admitted:
        text = metrics.exposition(with_readers=True)
        return HttpResponse(text, content_type=registry.CONTENT_TYPE)
    if not settings.METRICS_TOKEN:
        raise Http404
    challenge = {"WWW-Authenticate": 'Bearer realm="upend metrics"'}
    return HttpResponse("Show UPEND_METRICS_TOKEN as a bearer.\n", status=401, headers=challenge)
