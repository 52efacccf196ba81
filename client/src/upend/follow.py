"""Follows a query on the server to its end: by events where someone watches, else in one wait.

Older servers, broken streams and busy servers cost promptness, never the answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from upend.api import Api
from upend.errors import Refused, Unreachable

FIRST_POLL_SECONDS = 0.02
SLOWEST_POLL_SECONDS = 1.0
POLL_SHARE = 0.1
"""We ask again after a tenth of the time waited so far: late by a tenth at most."""
WAIT_SECONDS = 20
"""How long one answer may take; less than what proxies and this client take for a silence."""
WATCHED_WAIT_SECONDS = 1
BROKEN_STREAMS = 3
"""After so many streams that said nothing we only ask."""
WITH_ROWS = "include=result,result_url"
"""Asks for the rows with a query that has ended, or for their address in the bucket."""
FINAL = frozenset({"cancelled", "failed", "succeeded"})
PREPARING = "preparing"
"""The server writes an extract that this machine will read."""
Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a query is: `state` as the server names it, `percent` 0 to 100 where known.

    `rows` and `bytes` are those of the result so far; `bytes_read` came from the storage.
    """

    state: str
    place: str
    why: str = ""
    percent: float | None = None
    rows: int | None = None
    bytes: int | None = None
    bytes_read: int | None = None
    position: int | None = None
    """Its place in the queue, 1 is next; None where it does not wait."""
    expected_wait_seconds: float | None = None


OnProgress = Callable[[Progress], None]


def ignore(progress: Progress) -> None:
    """Take no notice of progress."""


class Follower:
    """Follows one query of one server."""

    def __init__(self, api: Api, path: str, on_progress: OnProgress, deadline: float | None):
        self._api, self._path = api, path
        self._on_progress, self._deadline = on_progress, deadline
        self._started = time.monotonic()
        self._streams_left = 0 if on_progress is ignore else BROKEN_STREAMS

    @property
    def is_late(self) -> bool:
        """Tell whether the caller waits no longer."""
        return self._deadline is not None and time.monotonic() > self._deadline

    def end_of(self, document: Document) -> Document:
        """Return the query once it has ended, or as it is when the deadline has passed."""
        while document["state"] not in FINAL and not self.is_late:
            self._on_progress(progress_of(document))
            if self._streams_left:
                document = self._watched(document)
            if document["state"] not in FINAL and not self.is_late:
                document = self._asked()
        self._on_progress(progress_of(document))
        return document

    def prepared(self, document: Document) -> Document:
        """Return the query once nothing is prepared for it any more, wherever it then goes on."""
        while document["state"] == PREPARING and not self.is_late:
            self._on_progress(progress_of(document))
            document = self._asked()
        return document

    def _watched(self, document: Document) -> Document:
        """Return the query as its stream of events left it."""
        self._streams_left -= 1
        try:
            with self._api.events(f"{self._path}/events", longest=self._patience()) as events:
                for kind, said in events:
                    if kind == "end":
                        ended: Document = said
                        return ended
                    self._streams_left = BROKEN_STREAMS
                    document |= {
                        "state": said["state"],
                        "progress": said,
                        "queue": said.get("queue"),
                    }
                    self._on_progress(progress_of(document))
                    if self.is_late:
                        break
        except Unreachable:  # the stream broke, or says nothing: the next question tells why
            pass
        except Refused:  # a server without events
            self._streams_left = 0
        return document

    def _asked(self) -> Document:
        """Return the query once it has ended, or as it is after a while; soon if one watches."""
        longest = longest_wait(self._deadline)
        if self._on_progress is not ignore:
            longest = min(longest, WATCHED_WAIT_SECONDS)
        path = f"{self._path}?{WITH_ROWS}"
        answer = self._api.request("GET", path, headers=prefer(longest))
        document: Document = answer.json()
        if document["state"] not in FINAL and "Preference-Applied" not in answer.headers:
            time.sleep(_pause(time.monotonic() - self._started))  # an older server, or a busy one
        return document

    def _patience(self) -> float:
        """Return how long a stream may be silent; the server says something every 15 s."""
        left = self._deadline - time.monotonic() if self._deadline else WAIT_SECONDS
        return max(0.05, min(WAIT_SECONDS, left))


def progress_of(document: Document) -> Progress:
    """Return how far the query of a document is."""
    numbers, turn = document.get("progress") or {}, document.get("queue") or {}
    return Progress(
        state=str(document["state"]),
        place=str(document.get("place", "")),
        why=str((document.get("plan") or {}).get("why", "")),
        percent=numbers.get("percent"),
        rows=numbers.get("rows"),
        bytes=numbers.get("bytes"),
        bytes_read=numbers.get("bytes_read"),
        position=turn.get("position"),
        expected_wait_seconds=turn.get("expected_wait_seconds"),
    )


def prefer(seconds: int) -> dict[str, str]:
    """Return the headers that ask the server to answer late if need be (RFC 7240)."""
    return {"Prefer": f"wait={seconds}"} if seconds else {}


def longest_wait(deadline: float | None) -> int:
    """Return how many whole seconds an answer may take."""
    left = deadline - time.monotonic() if deadline else WAIT_SECONDS
    return max(0, min(WAIT_SECONDS, int(left)))


def _pause(waited_seconds: float) -> float:
    """Return how long to wait before asking again."""
    return min(max(FIRST_POLL_SECONDS, waited_seconds * POLL_SHARE), SLOWEST_POLL_SECONDS)
