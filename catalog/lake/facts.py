"""Remembers what is true of a whole snapshot, which no later commit can change.

Counting every file of a table is the one part of planning that grows with the table. A fact is
kept under the newest snapshot of its lake: any commit, compaction included, begins anew.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock
from typing import TypeVar, cast

from catalog.lake.metadata import rows
from catalog.models import Catalog

T = TypeVar("T")

KEPT = 4096

_facts: OrderedDict[tuple[Hashable, ...], object] = OrderedDict()
_lock = Lock()
_moment: ContextVar[dict[str, int] | None] = ContextVar("moment", default=None)
"""The newest snapshots seen so far, by lake, where one moment is held."""


def of(
    catalog: Catalog,
    key: tuple[Hashable, ...],
    find: Callable[[], T],
    *,
    at: int | None = None,
) -> T:
    """Return the fact named `key`, found by `find` where it is not known yet.

    `at` is the lake's newest snapshot, where it was read with what the fact is about.
    """
    whole = (catalog.metadata_schema, newest(catalog) if at is None else at, *key)
    with _lock:
        if whole in _facts:
            _facts.move_to_end(whole)
            return cast("T", _facts[whole])
    found = find()
    with _lock:
        _facts[whole] = found
        while len(_facts) > KEPT:
            _facts.popitem(last=False)
    return found


@contextmanager
def at_one_moment() -> Iterator[None]:
    """Ask each lake only once for its newest snapshot: what is read within is of one moment.

    A commit meanwhile is seen next time, as it is where the same was read a little earlier.
    """
    token = _moment.set({})
    try:
        yield
    finally:
        _moment.reset(token)


def newest(catalog: Catalog) -> int:
    """Return the number of the lake's newest snapshot."""
    seen = _moment.get()
    if seen is None:
        return _read_newest(catalog)
    if catalog.metadata_schema not in seen:
        seen[catalog.metadata_schema] = _read_newest(catalog)
    return seen[catalog.metadata_schema]


def saw(catalog: Catalog, snapshot_id: int) -> None:
    """Take note of what was just read as the lake's newest snapshot."""
    seen = _moment.get()
    if seen is not None:
        seen.setdefault(catalog.metadata_schema, snapshot_id)


def _read_newest(catalog: Catalog) -> int:
    found: int = rows(catalog, "SELECT max(snapshot_id) FROM {ducklake_snapshot}")[0][0]
    return found
