"""`/.well-known/upend-keys.json`: what verifies manifests, public by nature."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from accounts import keys


@require_safe
@cache_control(public=True, max_age=300)
def published_keys(_: HttpRequest) -> HttpResponse:
    """Return the live keys of every organization as a JWK set (RFC 7517 §5)."""
    response = JsonResponse(keys.published())
    response["Access-Control-Allow-Origin"] = "*"
    return response
