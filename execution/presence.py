"""Which workers live: they tell the broker every few seconds, and it forgets by itself."""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import lru_cache

import redis
import structlog
from django.conf import settings

TELL_SECONDS = 5.0
GONE_SECONDS = 30
KEY = "upend:presence:"
SWEEP = "sweep"
"""Not a queue: told by the sweep itself, so that it proves the schedule and the worker at once."""
EXPECTED = ("query", "catalog", "upkeep", SWEEP)
TIMEOUT_SECONDS = 2

log = structlog.get_logger(__name__)


def tell(names: Iterable[str]) -> None:
    """Say that these queues are served now; a broker that is away hears it the next time."""
    try:
        with redis.Redis(connection_pool=_pool()) as broker, broker.pipeline() as pipe:
            for name in names:
                pipe.set(f"{KEY}{name}", repr(time.time()), ex=GONE_SECONDS)
            pipe.execute()
    except (redis.RedisError, OSError) as error:
        log.warning("presence_not_told", error=type(error).__name__)


def missing() -> list[str] | None:
    """Return what was expected and not heard of for `GONE_SECONDS`; None without a broker."""
    try:
        with redis.Redis(connection_pool=_pool()) as broker:
            found = broker.mget([f"{KEY}{name}" for name in EXPECTED])
    except (redis.RedisError, OSError):
        return None
    return [name for name, told in zip(EXPECTED, found, strict=True) if told is None]


@lru_cache(maxsize=1)
def _pool() -> redis.ConnectionPool:
    return redis.ConnectionPool.from_url(
        settings.BROKER_URL,
        socket_connect_timeout=TIMEOUT_SECONDS,
        socket_timeout=TIMEOUT_SECONDS,
    )
