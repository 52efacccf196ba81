"""Hears notices for all who wait in this process: one thread, one connection, any number of ears.

While the broker is away, followers simply look at the row more often.
"""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from functools import cache
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import redis
import structlog
from django.conf import settings

from api.broker import connected
from execution.notices.domain import CHANGES, PROGRESS, Notice, read

HEARING_SECONDS = 2.0
"""How long a follower trusts that silence means no change."""
DEAF_SECONDS = 0.5
"""The same while the broker is away: then looking at the row is all there is."""
LISTEN_SECONDS = 5.0
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0

log = structlog.get_logger(__name__)


class Follower:
    """One who waits for news of one query; a context manager, heard only inside of it."""

    def __init__(self, hub: Hub, query_id: UUID, *, wants_progress: bool) -> None:
        self.query_id = query_id
        self.wants_progress = wants_progress
        self.latest: Notice | None = None
        """The last notice heard, if any."""
        self._hub = hub
        self._woken = threading.Event()

    def __enter__(self) -> Self:
        self._hub.add(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._hub.remove(self)

    def wait(self, seconds: float) -> bool:
        """Wait for news, `seconds` at most; tell whether some came.

        Returns without news as soon as the row is worth a look: notices may get lost.
        """
        patience = HEARING_SECONDS if self._hub.is_hearing else DEAF_SECONDS
        came = self._woken.wait(max(0.0, min(seconds, patience)))
        self._woken.clear()  # before the caller reads: what comes from here on wakes again
        return came

    def has_news(self) -> bool:
        """Tell, without waiting, whether something came since the last question."""
        came = self._woken.is_set()
        self._woken.clear()
        return came

    @property
    def is_heard(self) -> bool:
        """Tell whether notices reach this process at present."""
        return self._hub.is_hearing

    def wake(self, notice: Notice | None) -> None:
        """Take a notice; None says that some may have been missed."""
        if notice is not None:
            self.latest = notice
        self._woken.set()


class Hub:
    """The listening thread of a process and its followers."""

    def __init__(self, url: str, channels: tuple[str, ...]) -> None:
        self._url, self._channels = url, channels
        self._followers: defaultdict[UUID, set[Follower]] = defaultdict(set)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self.is_hearing = False
        """Whether the broker tells this process what happens."""

    def follow(self, query_id: UUID, *, wants_progress: bool = False) -> Follower:
        """Return a follower of one query; look at the row after entering it, then wait."""
        return Follower(self, query_id, wants_progress=wants_progress)

    def add(self, follower: Follower) -> None:
        """Let a follower hear; the first one starts the thread."""
        with self._lock:
            self._followers[follower.query_id].add(follower)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._listen_for_ever, name="query-notices", daemon=True
                )
                self._thread.start()

    def remove(self, follower: Follower) -> None:
        """Forget a follower."""
        with self._lock:
            ears = self._followers[follower.query_id]
            ears.discard(follower)
            if not ears:
                del self._followers[follower.query_id]

    def _listen_for_ever(self) -> None:
        pause, rest = FIRST_PAUSE_SECONDS, threading.Event()
        while True:
            try:
                self._listen()
            except (redis.RedisError, OSError) as error:
                if self.is_hearing:
                    log.warning("notices_not_heard", error=type(error).__name__)
                    pause = FIRST_PAUSE_SECONDS
                self.is_hearing = False
                rest.wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _listen(self) -> None:
        """Hand out what comes, until the connection breaks."""
        with (
            connected(
                self._url,
                LISTEN_SECONDS,
                socket_keepalive=True,
                health_check_interval=int(2 * LISTEN_SECONDS),
                decode_responses=True,
            ) as client,
            client.pubsub() as heard,
        ):
            heard.subscribe(*self._channels)
            while True:
                self._take(heard.get_message(timeout=LISTEN_SECONDS))

    def _take(self, message: dict[str, Any] | None) -> None:
        if message is None:
            return
        if message["type"] == "subscribe" and message["channel"] == self._channels[-1]:
            self.is_hearing = True
            self._wake_all()
        elif message["type"] == "message" and (notice := read(message["data"])) is not None:
            for follower in self._ears_of(notice):
                follower.wake(notice)

    def _ears_of(self, notice: Notice) -> list[Follower]:
        with self._lock:
            ears = self._followers.get(notice.query_id, ())
            return [one for one in ears if one.wants_progress or notice.progress is None]

    def _wake_all(self) -> None:
        """Have everyone look at their row: before this moment something may have been missed."""
        with self._lock:
            everyone = [one for ears in self._followers.values() for one in ears]
        for follower in everyone:
            follower.wake(None)


def hub() -> Hub:
    """Return this process's hub for those who show queries: changes and progress."""
    return _hub(settings.BROKER_URL, (CHANGES, PROGRESS), os.getpid())


def changes() -> Hub:
    """Return this process's hub for those who run queries: changes only."""
    return _hub(settings.BROKER_URL, (CHANGES,), os.getpid())


@cache
def _hub(url: str, channels: tuple[str, ...], process: int) -> Hub:  # noqa: ARG001 - a fork has no threads
    return Hub(url, channels)
