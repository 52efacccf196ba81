"""What is never deleted whoever reads: tagged snapshots, and files that Upend did not write.

The parts of this room that tag snapshots and take in files of others register themselves here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

from catalog.models import Catalog

WRITTEN_BY_DUCKLAKE = re.compile(r"(?:.*/)?ducklake-[0-9a-f-]{36}(-delete)?\.parquet")
"""How DuckLake names what it writes. Nothing of another name is ever deleted here."""

_tagged: list[Callable[[Catalog], Collection[int]]] = []
_foreign: list[Callable[[Catalog, str], bool]] = []


def register_tagged(found: Callable[[Catalog], Collection[int]]) -> None:
    """Keep the snapshots that `found` returns of a catalog while its policy keeps tagged ones."""
    if found not in _tagged:
        _tagged.append(found)


def register_foreign(is_foreign: Callable[[Catalog, str], bool]) -> None:
    """Keep the objects of which `is_foreign` says that somebody else wrote them."""
    if is_foreign not in _foreign:
        _foreign.append(is_foreign)


def tagged_snapshots(catalog: Catalog) -> frozenset[int]:
    """Return the snapshots of `catalog` that a tag holds."""
    return frozenset().union(*(found(catalog) for found in _tagged))


def is_ours(catalog: Catalog, key: str) -> bool:
    """Tell whether Upend may delete the object: its lake wrote it, below its own prefix.

    Never in a lake that was adopted: others may have written there since, under names like ours.
    """
    if not catalog.owns_files:
        return False
    if not key.startswith(catalog.prefix) or WRITTEN_BY_DUCKLAKE.fullmatch(key) is None:
        return False
    return not any(is_foreign(catalog, key) for is_foreign in _foreign)
