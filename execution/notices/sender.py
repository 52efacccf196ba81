"""Publishes notices without ever holding up, or failing, whoever has something to say."""

from __future__ import annotations

import threading
import time
from functools import cache

import redis
import structlog
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from execution.notices.domain import Notice

LONGEST_SECONDS = 0.2
"""How long one publication may take; a broker in the same room needs a thousandth of it."""
SILENT_SECONDS = 5.0
"""How long nothing is tried after a failure: a broker that hangs costs a run 4% at most."""

log = structlog.get_logger(__name__)


class Sender:
    """One process's way out for notices."""

    def __init__(self, url: str) -> None:
        self._redis = redis.Redis.from_url(
            url,
            socket_connect_timeout=LONGEST_SECONDS,
            socket_timeout=LONGEST_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self._lock = threading.Lock()
        self._silent_until = 0.0

    def send(self, notice: Notice) -> bool:
        """Publish `notice`; tell whether the broker took it."""
        if time.monotonic() < self._silent_until:
            return False
        try:
            self._redis.publish(notice.channel, notice.as_text())
        except (redis.RedisError, OSError) as error:
            self._fall_silent(error)
            return False
        return True

    def _fall_silent(self, error: Exception) -> None:
        with self._lock:
            is_first = time.monotonic() >= self._silent_until
            self._silent_until = time.monotonic() + SILENT_SECONDS
        if is_first:
            log.warning("notices_not_sent", error=type(error).__name__)


def send(notice: Notice) -> bool:
    """Publish `notice` on the broker of the settings; tell whether it left."""
    return _sender(settings.BROKER_URL).send(notice)


@cache
def _sender(url: str) -> Sender:
    return Sender(url)
