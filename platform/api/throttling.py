"""Slows down who knocks too often at addresses that need no credentials."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable

from django.core.cache import cache
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from redis.exceptions import RedisError

from accounts.selectors import address_of

WINDOW_SECONDS = 60
View = Callable[..., HttpResponse]


def limited(view: View, *, name: str, per_minute: int) -> View:
    """Return `view`, answering 429 to an address after `per_minute` calls in one minute.

    Without the broker neither the count nor device logins work; the answer is then 503 in the
    words of OAuth (RFC 6749 §4.1.2.1), which clients take as "try again".
    """

    @functools.wraps(view)
    def wrapper(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        try:
            if _count(f"{name}:{address_of(request)}") > per_minute:
                return _refusal(429, "slow_down", "Too many requests from this address.")
            return view(request, *args, **kwargs)
        except RedisError:
            detail = "Upend's broker cannot be reached; try again shortly."
            return _refusal(503, "temporarily_unavailable", detail)

    return csrf_exempt(wrapper)


def _count(who: str) -> int:
    window = int(time.time()) // WINDOW_SECONDS
    key = f"calls:{who}:{window}"
    cache.add(key, 0, timeout=2 * WINDOW_SECONDS)
    return int(cache.incr(key))


def _refusal(status: int, error: str, description: str) -> HttpResponse:
    response = JsonResponse({"error": error, "error_description": description}, status=status)
    response["Retry-After"] = str(WINDOW_SECONDS - int(time.time()) % WINDOW_SECONDS)
    return response
