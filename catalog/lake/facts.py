"""Remembers what is true of a whole snapshot, which no later commit can change.

Counting every file of a table is the one part of planning that grows with the table. A fact is
kept under the newest snapshot of its lake: any commit, compaction included, begins anew.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import TypeVar, cast

from catalog.lake.metadata import rows
from catalog.models import Catalog

T = TypeVar("T")

KEPT = 4096

_facts: OrderedDict[tuple[Hashable, ...], object] = OrderedDict()
_lock = Lock()


def of(catalog: Catalog, key: tuple[Hashable, ...], find: Callable[[], T]) -> T:
    """Return the fact named `key`, found by `find` where it is not known yet."""
    whole = (catalog.metadata_schema, _newest(catalog), *key)
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


def _newest(catalog: Catalog) -> int:
    newest: int = rows(catalog, "SELECT max(snapshot_id) FROM {ducklake_snapshot}")[0][0]
    return newest
