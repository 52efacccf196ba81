"""Hints between who sends rows, who commits them, and who waits: never needed, only sooner.

Many senders make one message: a flag in the broker says that a worker was told and has not
looked yet. Whoever waits for a commit is told after a notice; without a broker it looks itself.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cache
from typing import Any
from uuid import UUID

import redis
from django.conf import settings
from django.db import DatabaseError

from api.broker import LONGEST_SECONDS, Broker, broker, connected
from api.waiting import release_connection
from catalog.models import IngestBatch
from catalog.models.ingest import UNFINISHED

Ended = dict[str, Any]
"""The fields of a batch that its end changes."""
ENDED = (
    "errors",
    "finished_at",
    "problem",
    "rejected_count",
    "row_count",
    "snapshot_id",
    "state",
)
CHANNEL = "upend:ingest:finished"
TOLD_SECONDS = 2
"""How long a flag is trusted: a worker may die between hearing and looking."""
LOOK_SECONDS = 1.0
"""How long who waits trusts that no notice means no end."""
DEAF_SECONDS = 0.2
LISTEN_SECONDS = 5.0
SILENT_SECONDS = 2.0
"""Rows wait for a sweep while nobody is told of them."""
REMEMBERED = 4096
"""Of so many batches a process remembers that their end was told: their waiters may come late."""


def is_first(catalog_id: UUID) -> bool:
    """Tell whether a worker must be told of waiting rows: nobody did since one looked."""
    key = f"upend:ingest:told:{catalog_id}"
    return bool(_sender().attempt(lambda r: r.set(key, 1, nx=True, ex=TOLD_SECONDS)))


def looking(catalog_id: UUID) -> None:
    """Say that a worker looks from now on: later rows need a new message."""
    _sender().attempt(lambda r: r.delete(f"upend:ingest:told:{catalog_id}"))


def rouse(catalog_id: UUID) -> bool:
    """Have a worker look that lingers over the catalog; False where none does."""
    return bool(_sender().attempt(lambda r: r.publish(_arrivals(catalog_id), 1)))


class Lingering:
    """Who has done all that there was for a catalog, and stays a while for what comes next.

    Rows that come meanwhile cost a notice; else a message, a task, a lock and a session each time.
    """

    def __init__(self, catalog_id: UUID) -> None:
        self._place = _arrivals(catalog_id)
        self._heard: Any = None

    def heard(self, seconds: float) -> bool:
        """Tell whether to look again: somebody said so within `seconds`, or could not have."""
        try:
            if self._heard is None:
                self._heard = _sender().listening(self._place)
                return True
            message = self._heard.get_message(timeout=seconds)
            while message and self._heard.get_message():  # one look is enough for all that came
                pass
        except (redis.RedisError, OSError, ValueError):
            return False
        return message is not None

    def close(self) -> None:
        """Leave: who comes later must tell somebody else, as the broker knows at the end."""
        if self._heard is None:
            return
        with suppress(redis.RedisError, OSError, ValueError):
            self._heard.unsubscribe()
            while message := self._heard.get_message(timeout=LONGEST_SECONDS):
                if message["type"] == "unsubscribe":
                    break
        self._heard.close()


def _arrivals(catalog_id: UUID) -> str:
    return f"upend:ingest:arrived:{catalog_id}"


def tell(batch_ids: Iterable[int]) -> None:
    """Tell all who wait that these batches are finished."""
    text = json.dumps(list(batch_ids))
    _sender().attempt(lambda r: r.publish(CHANNEL, text))


class Ear(threading.Event):
    """One who waits, and what was found out for them: the end of their batch."""

    found: Ended | None = None

    def tell(self, found: Ended) -> None:
        """Say how it ended."""
        self.found = found
        self.set()


class Waiting:
    """Those in this process who wait for batches: one thread hears and looks for all of them.

    A notice only says that it is time to look; what became of the batches is read from their
    rows, once for all who wait here.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._ears: dict[int, list[Ear]] = {}
        self._told: OrderedDict[int, None] = OrderedDict()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self.is_hearing = False

    def wait(self, batch_id: int, seconds: float) -> Ended | None:
        """Return how a batch ended, None where it did not within `seconds`."""
        until = time.monotonic() + seconds
        ear = Ear()
        is_time_to_look = self._add(batch_id, ear)
        try:
            while ear.found is None:
                if is_time_to_look and (found := ended([batch_id]).get(batch_id)):
                    return found
                left = until - time.monotonic()
                if left <= 0:
                    return None
                is_time_to_look = not ear.wait(
                    min(left, LOOK_SECONDS if self.is_hearing else DEAF_SECONDS)
                )
        finally:
            self._remove(batch_id, ear)
        return ear.found

    def _add(self, batch_id: int, ear: Ear) -> bool:
        """Begin to wait; return whether the end may have been told already, or nobody tells it."""
        with self._lock:
            self._ears.setdefault(batch_id, []).append(ear)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._listen_for_ever, name="ingest-notices", daemon=True
                )
                self._thread.start()
            return batch_id in self._told or not self.is_hearing

    def _remove(self, batch_id: int, ear: Ear) -> None:
        with self._lock:
            ears = self._ears[batch_id]
            ears.remove(ear)
            if not ears:
                del self._ears[batch_id]

    def _listen_for_ever(self) -> None:
        while True:
            try:
                self._listen()
            except (redis.RedisError, DatabaseError, OSError, ValueError):
                self.is_hearing = False
                time.sleep(DEAF_SECONDS)

    def _listen(self) -> None:
        with (
            connected(self._url, LISTEN_SECONDS, decode_responses=True) as client,
            client.pubsub() as heard,
        ):
            heard.subscribe(CHANNEL)
            while True:
                self._take(heard.get_message(timeout=LISTEN_SECONDS))

    def _take(self, message: dict[str, Any] | None) -> None:
        """Look for those who wait for what a message is about: all of them at the first one."""
        if message is None:
            return
        with self._lock:
            if message["type"] == "subscribe":
                self.is_hearing = True
                asked = list(self._ears)
            else:
                told: list[int] = json.loads(message["data"])
                self._told.update(dict.fromkeys(told))
                while len(self._told) > REMEMBERED:
                    self._told.popitem(last=False)
                asked = [one for one in told if one in self._ears]
        for batch_id, found in ended(asked).items():
            with self._lock:
                ears = list(self._ears.get(batch_id, ()))
            for ear in ears:
                ear.tell(found)


def ended(batch_ids: Sequence[int]) -> dict[int, Ended]:
    """Return how those of the batches ended that did."""
    if not batch_ids:
        return {}
    rows = IngestBatch.objects.filter(id__in=batch_ids).exclude(state__in=UNFINISHED)
    try:
        return {row["id"]: row for row in rows.order_by().values("id", *ENDED)}
    finally:
        release_connection()


def waiting() -> Waiting:
    """Return those who wait in this process."""
    return _waiting(settings.BROKER_URL, os.getpid())


def _sender() -> Broker:
    return broker(SILENT_SECONDS)


@cache
def _waiting(url: str, process: int) -> Waiting:  # noqa: ARG001 - a fork has no threads
    return Waiting(url)
