"""Hints between who sends rows, who commits them, and who waits: never needed, only sooner.

Many senders make one message: a flag in the broker says that a worker was told and has not
looked yet. Whoever waits for a commit is told by a notice; without a broker it looks at the row.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any
from uuid import UUID

import redis
import structlog
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

CHANNEL = "upend:ingest:finished"
TOLD_SECONDS = 2
"""How long a flag is trusted: a worker may die between hearing and looking."""
LOOK_SECONDS = 1.0
"""How long who waits trusts that no notice means no end."""
DEAF_SECONDS = 0.2
LISTEN_SECONDS = 5.0
LONGEST_SECONDS = 0.2
SILENT_SECONDS = 2.0

log = structlog.get_logger(__name__)


class Sender:
    """The way out for hints; a broker that is away holds nobody up."""

    def __init__(self, url: str) -> None:
        self._redis = redis.Redis.from_url(
            url,
            socket_connect_timeout=LONGEST_SECONDS,
            socket_timeout=LONGEST_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self._silent_until = 0.0

    def attempt(self, work: Callable[[redis.Redis], Any]) -> Any:
        """Return what the broker answers, None where it does not."""
        if time.monotonic() < self._silent_until:
            return None
        try:
            return work(self._redis)
        except (redis.RedisError, OSError) as error:
            self._silent_until = time.monotonic() + SILENT_SECONDS
            log.warning("hint_not_sent", error=type(error).__name__)
            return None


def is_first(catalog_id: UUID) -> bool:
    """Tell whether a worker must be told of waiting rows: nobody did since one looked."""
    key = f"upend:ingest:told:{catalog_id}"
    return bool(_sender().attempt(lambda r: r.set(key, 1, nx=True, ex=TOLD_SECONDS)))


def looking(catalog_id: UUID) -> None:
    """Say that a worker looks from now on: later rows need a new message."""
    _sender().attempt(lambda r: r.delete(f"upend:ingest:told:{catalog_id}"))


def tell(batch_ids: Iterable[int]) -> None:
    """Tell all who wait that these batches are finished."""
    text = json.dumps(list(batch_ids))
    _sender().attempt(lambda r: r.publish(CHANNEL, text))


class Waiting:
    """Those in this process who wait for batches: one thread hears for all of them."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._ears: dict[int, list[threading.Event]] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self.is_hearing = False

    def wait(self, batch_id: int, is_over: Callable[[], bool], seconds: float) -> bool:
        """Return whether `is_over` came true within `seconds`; it is asked seldom."""
        until = time.monotonic() + seconds
        ear = threading.Event()
        self._add(batch_id, ear)
        try:
            while not is_over():
                left = until - time.monotonic()
                if left <= 0:
                    return False
                ear.wait(min(left, LOOK_SECONDS if self.is_hearing else DEAF_SECONDS))
                ear.clear()
        finally:
            self._remove(batch_id, ear)
        return True

    def _add(self, batch_id: int, ear: threading.Event) -> None:
        with self._lock:
            self._ears.setdefault(batch_id, []).append(ear)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._listen_for_ever, name="ingest-notices", daemon=True
                )
                self._thread.start()

    def _remove(self, batch_id: int, ear: threading.Event) -> None:
        with self._lock:
            ears = self._ears[batch_id]
            ears.remove(ear)
            if not ears:
                del self._ears[batch_id]

    def _listen_for_ever(self) -> None:
        while True:
            try:
                self._listen()
            except (redis.RedisError, OSError, ValueError):
                self.is_hearing = False
                time.sleep(DEAF_SECONDS)

    def _listen(self) -> None:
        with (
            redis.Redis.from_url(
                self._url,
                socket_connect_timeout=LISTEN_SECONDS,
                socket_timeout=LISTEN_SECONDS,
                decode_responses=True,
                retry=Retry(NoBackoff(), 0),
            ) as client,
            client.pubsub() as heard,
        ):
            heard.subscribe(CHANNEL)
            while True:
                self._take(heard.get_message(timeout=LISTEN_SECONDS))

    def _take(self, message: dict[str, Any] | None) -> None:
        if message is None:
            return
        with self._lock:
            if message["type"] == "subscribe":
                self.is_hearing = True
                woken = [ear for ears in self._ears.values() for ear in ears]
            else:
                ids = json.loads(message["data"])
                woken = [ear for one in ids for ear in self._ears.get(one, ())]
        for ear in woken:
            ear.set()


def waiting() -> Waiting:
    """Return those who wait in this process."""
    return _waiting(settings.BROKER_URL, os.getpid())


def _sender() -> Sender:
    return _sender_of(settings.BROKER_URL, os.getpid())


@cache
def _sender_of(url: str, process: int) -> Sender:  # noqa: ARG001 - a fork shares no sockets
    return Sender(url)


@cache
def _waiting(url: str, process: int) -> Waiting:  # noqa: ARG001 - a fork has no threads
    return Waiting(url)
