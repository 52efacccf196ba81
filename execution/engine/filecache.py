"""Copies of files that are asked for again and again, in the worker's memory: engines read those.

A new engine has read nothing, and each range that it asks the bucket for costs it a round trip.
A worker keeps what its engines keep asking for. A copy is a sealed file in memory, which has no
name, lies on no disk and cannot be changed by anybody: an engine reads it who was handed it, with
a slice that would have had a signed address in its place. The cache decides nothing about who may
read; it gives the same bytes from nearer by.

The bucket is asked again, in time, whether each copy is still what it holds: who deletes a file
there, or takes Upend's keys away, is heard within `LIFE_SECONDS`.
"""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, Protocol

if sys.platform == "linux":
    import fcntl

import structlog

from execution.engine.domain import Held, path_of
from observability import metrics

LIFE_SECONDS = 600.0
"""How long a copy is given out after the bucket last said that it is what is there."""
MOST_FILE_BYTES = 64 * 2**20
"""Of larger files a query reads a part, in few and large ranges."""
ASKS = 2
"""As often a file must be asked for within `LIFE_SECONDS`: most files are read once."""
REMEMBERED = 4096
"""So many files that have no copy are remembered to have been asked for."""
WAITING = 64
"""So many files wait to be copied; more of them are not wanted badly enough."""
LOOK_SECONDS = 30.0
PAUSE_SECONDS = 60.0
"""After the system had no memory, or no descriptor, to give."""
FETCH_SECONDS = 20.0
"""A bucket that takes longer to give one file holds up the others."""
NAME = "upend-copy"

log = structlog.get_logger(__name__)

Identity = tuple[str, ...]


class Target(Protocol):
    """What a file is written to."""

    def write(self, chunk: bytes, /) -> int:
        """Write one piece of it."""


@dataclass(frozen=True, slots=True)
class Source:
    """One file in its bucket, and who reads it there.

    Files of one `identity` have the same content and the same readers. `fetch` writes it all and
    returns the tag of the version that it read, `tag` returns the tag of the one that is there.
    """

    identity: Identity
    size_bytes: int
    fetch: Callable[[Target], str]
    tag: Callable[[], str]


@dataclass(slots=True)
class _Copy:
    """One file in memory. Until `promised_until` an engine may hold it, whoever else lets go."""

    file: Held
    size_bytes: int
    tag: str
    confirmed_at: float
    promised_until: float = 0.0
    is_renewing: bool = False


class TooMuch(Exception):
    """A bucket gave more than the lake says that there is, or too slowly."""


class _Bounded:
    """Takes so many bytes, for so long."""

    def __init__(self, target: BinaryIO, most_bytes: int) -> None:
        self._target, self._left = target, most_bytes
        self._until = time.monotonic() + FETCH_SECONDS

    def write(self, chunk: bytes) -> int:
        """Write one piece. Raises `TooMuch`."""
        self._left -= len(chunk)
        if self._left < 0 or time.monotonic() > self._until:
            raise TooMuch
        return self._target.write(chunk)


class FileCache:
    """The copies of one worker process, at most `budget_bytes` of them. Thread-safe."""

    def __init__(self, budget_bytes: int) -> None:
        self._budget_bytes = budget_bytes
        self._copies: OrderedDict[Identity, _Copy] = OrderedDict()  # who was asked for last, last
        self._leaving: list[_Copy] = []
        self._asked: OrderedDict[Identity, list[float]] = OrderedDict()
        self._wanted: queue.Queue[Source] = queue.Queue(WAITING)
        self._paused_until = 0.0
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self._lock = threading.Lock()

    def copy(self, source: Source, *, seconds: float) -> Held | None:
        """Return the copy of a file, for an engine that ends within `seconds`; None without one.

        Notes that it was asked for, and has it copied, or its copy renewed, where that is due.
        """
        now = time.monotonic()
        with self._lock:
            copy = self._fresh(source.identity, now)
            if copy is not None:
                copy.promised_until = max(copy.promised_until, now + seconds)
                is_due = not copy.is_renewing and now - copy.confirmed_at > LIFE_SECONDS / 2
                copy.is_renewing = copy.is_renewing or is_due
            else:
                is_due = self._is_wanted(source, now)
        metrics.FILE_CACHE_LOOKUPS.labels("miss" if copy is None else "hit").inc()
        if is_due:
            self._have_it_done(source)
        return None if copy is None else copy.file

    @property
    def held_bytes(self) -> int:
        """Return the size of all copies, those included that engines may still hold."""
        with self._lock:
            return self._held()

    def close(self) -> None:
        """Let all copies go; nothing is copied afterwards."""
        with self._lock:
            self._is_closed = True
            self._copies.clear()
            self._leaving.clear()

    def _fresh(self, identity: Identity, now: float) -> _Copy | None:
        """Return the copy that may be given out, now the latest asked for. Call with the lock."""
        copy = self._copies.get(identity)
        if copy is None:
            return None
        if now - copy.confirmed_at > LIFE_SECONDS:
            self._leaving.append(self._copies.pop(identity))
            return None
        self._copies.move_to_end(identity)
        return copy

    def _is_wanted(self, source: Source, now: float) -> bool:
        """Note that a file was asked for, and tell whether it is worth a copy now.

        Call with the lock.
        """
        most = min(MOST_FILE_BYTES, self._budget_bytes)
        if self._is_closed or source.size_bytes > most or now < self._paused_until:
            return False
        asks = self._asked.setdefault(source.identity, [])
        self._asked.move_to_end(source.identity)
        asks[:] = [at for at in asks if now - at <= LIFE_SECONDS] + [now]
        while len(self._asked) > REMEMBERED:
            self._asked.popitem(last=False)
        if len(asks) < ASKS:
            return False
        del self._asked[source.identity]
        return True

    def _have_it_done(self, source: Source) -> None:
        with contextlib.suppress(queue.Full):
            self._wanted.put_nowait(source)
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="file-cache", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        """Copy and renew what is wanted, one file at a time, and let go what is old."""
        while not self._is_closed:
            try:
                source = self._wanted.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                self._remove_old()
                continue
            try:
                self._do(source)
            except Exception as error:  # noqa: BLE001 - whatever it is, engines go to the bucket
                log.warning("file_not_copied", error=type(error).__name__)
            self._remove_old()

    def _do(self, source: Source) -> None:
        with self._lock:
            copy = self._copies.get(source.identity)
        if copy is None:
            self._copy(source)
            return
        try:
            is_same = source.tag() == copy.tag
        except Exception:
            self._drop(source.identity, copy)
            raise
        if is_same:
            copy.confirmed_at, copy.is_renewing = time.monotonic(), False
        else:
            self._drop(source.identity, copy)

    def _copy(self, source: Source) -> None:
        """Fetch a file whole; what is not as long as the lake says is none of its files."""
        if not self._has_room(source.size_bytes):
            return
        asked_at = time.monotonic()
        try:
            with _new_file() as file:
                tag = source.fetch(_Bounded(file, source.size_bytes))
                file.flush()
                sealed = _sealed(file)
        except OSError:
            self._paused_until = time.monotonic() + PAUSE_SECONDS
            raise
        is_whole = os.fstat(sealed.fileno()).st_size == source.size_bytes
        with self._lock:
            if is_whole and tag and not self._is_closed:
                found = _Copy(sealed, source.size_bytes, tag, confirmed_at=asked_at)
                self._copies[source.identity] = found

    def _has_room(self, size_bytes: int) -> bool:
        """Tell whether a file fits, once those that were longest not asked for are gone."""
        now = time.monotonic()
        with self._lock:
            for identity, copy in list(self._copies.items()):
                if self._held() + size_bytes <= self._budget_bytes:
                    break
                if copy.promised_until < now:
                    del self._copies[identity]
            return self._held() + size_bytes <= self._budget_bytes

    def _drop(self, identity: Identity, copy: _Copy) -> None:
        """Give a copy out no more; who holds it goes on."""
        with self._lock:
            if self._copies.get(identity) is copy:
                del self._copies[identity]
                self._leaving.append(copy)

    def _remove_old(self) -> None:
        now = time.monotonic()
        with self._lock:
            for identity, copy in list(self._copies.items()):
                if now - copy.confirmed_at > LIFE_SECONDS:
                    self._leaving.append(self._copies.pop(identity))
            self._leaving[:] = [one for one in self._leaving if one.promised_until >= now]
            metrics.FILE_CACHE_BYTES.set(self._held())

    def _held(self) -> int:
        """Call with the lock."""
        return sum(copy.size_bytes for copy in (*self._copies.values(), *self._leaving))


def is_possible() -> bool:
    """Tell whether this system has files in memory that can be sealed, and be opened again."""
    if sys.platform != "linux" or not hasattr(os, "memfd_create"):
        return False
    try:
        with _new_file() as file:
            _sealed(file)
    except OSError:
        return False
    return True


def _new_file() -> BinaryIO:
    return os.fdopen(os.memfd_create(NAME, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING), "wb")


def _sealed(file: BinaryIO) -> Held:
    """Return a file in memory as one that nobody can write to, cut, or unseal.

    Source: memfd_create(2), F_ADD_SEALS in fcntl(2).
    """
    os.fchmod(file.fileno(), 0o444)
    seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
    fcntl.fcntl(file.fileno(), fcntl.F_ADD_SEALS, seals)
    return Held(os.open(path_of(file.fileno()), os.O_RDONLY | os.O_CLOEXEC))
