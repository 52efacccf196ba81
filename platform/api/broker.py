"""The broker's short memory, asked so that it never holds up, or fails, whoever asks."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

import redis
import structlog
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

T = TypeVar("T")

LONGEST_SECONDS = 0.2
"""How long one question may take; a broker in the same room needs a thousandth of it."""
SILENT_SECONDS = 5.0
"""How long nothing is tried after a failure: a broker that hangs costs a run 4% at most."""
LISTEN_SECONDS = 1
PAUSE_SECONDS = 1.0

log = structlog.get_logger(__name__)


def connected(url: str, seconds: float, **options: Any) -> redis.Redis:
    """Return a client of the broker that gives up after `seconds`, and tries nothing twice.

    Whoever asks knows better when to come again. `options` are more of the client's own.
    """
    waits = {"socket_connect_timeout": seconds, "socket_timeout": seconds}
    return redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0), **(waits | options))


class Broker:
    """One process's connections to it, and for how long nothing is tried after a failure."""

    def __init__(self, url: str, silent_seconds: float = SILENT_SECONDS) -> None:
        self._redis = connected(url, LONGEST_SECONDS)
        self._lock = threading.Lock()
        self._silent_seconds, self._silent_until = silent_seconds, 0.0

    def attempt(self, ask: Callable[[redis.Redis], T]) -> T | None:
        """Return what `ask` does with a connection; None where the broker did not answer."""
        if time.monotonic() < self._silent_until:
            return None
        try:
            return ask(self._redis)
        except (redis.RedisError, OSError) as error:
            self._fall_silent(error)
            return None

    def listening(self, channel: str) -> Any:
        """Return what hears a channel from now on. Raises `RedisError`."""
        heard = self._redis.pubsub()  # type: ignore[no-untyped-call]  # the client is half typed
        heard.subscribe(channel)
        heard.get_message(timeout=LONGEST_SECONDS)  # that it listens; or it hears that later
        return heard

    def _fall_silent(self, error: Exception) -> None:
        with self._lock:
            is_first = time.monotonic() >= self._silent_until
            self._silent_until = time.monotonic() + self._silent_seconds
        if is_first:
            log.warning("broker_not_answering", error=type(error).__name__)


def broker(silent_seconds: float = SILENT_SECONDS) -> Broker:
    """Return this process's way to the broker of the settings."""
    return _broker(settings.BROKER_URL, silent_seconds, os.getpid())


@cache
def _broker(url: str, silent_seconds: float, process: int) -> Broker:  # noqa: ARG001 - a fork shares no sockets
    return Broker(url, silent_seconds)


def push(word: bytes, key: str, *, most: int, seconds: int) -> bool:
    """Append a word to a list that keeps the latest `most`, for `seconds`; tell whether it left."""

    def send(client: redis.Redis) -> bool:
        with client.pipeline(transaction=False) as pipe:
            pipe.rpush(key, word)
            pipe.ltrim(key, -most, -1)
            pipe.expire(key, seconds)
            pipe.execute()
        return True

    return bool(broker().attempt(send))


def take_for_ever(
    key: str, take: Callable[[bytes], object], is_stopping: Callable[[], bool]
) -> None:
    """Give each word of a list to `take`, one after the other, until `is_stopping` says so.

    Of those who wait, here and elsewhere, the one that has waited longest gets the next word.
    While the broker is away there is none.
    """
    rest = threading.Event()
    while not is_stopping():
        try:
            with connected(
                settings.BROKER_URL, LISTEN_SECONDS, socket_timeout=3 * LISTEN_SECONDS
            ) as client:
                while not is_stopping():
                    found: Any = client.blpop([key], timeout=LISTEN_SECONDS)
                    if found:
                        take(found[1])
        except (redis.RedisError, OSError):
            rest.wait(PAUSE_SECONDS)
