"""Reads a lake while its upkeep goes on: merging and flushing rewrite the metadata of the past.

A commit that merges files, flushes inlined rows or replaces a delete file changes which rows of
the metadata stand for an older snapshot, never what that snapshot holds. Who reads several
metadata tables one after the other must not do so across such a commit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, TypeVar

from catalog.lake.metadata import rows
from catalog.models import Catalog
from problems import Problem

T = TypeVar("T")

TRIES = 10
HARMLESS = r"^(inserted_into_table|inlined_insert):[0-9]+$"
"""What adds rows and leaves the metadata of older snapshots alone."""


class CatalogBusy(Problem):
    """The lake's metadata changed each time that it was read."""

    code: ClassVar[str] = "catalog-busy"
    status: ClassVar[int] = 503
    title: ClassVar[str] = "The catalog is being rewritten"


def undisturbed(catalog: Catalog, read: Callable[[], T]) -> T:
    """Return what `read` finds, asked again where a commit rewrote the past meanwhile.

    Raises `CatalogBusy` where that does not end.
    """
    before = _newest(catalog)
    for _ in range(TRIES):
        found = read()
        after = _newest(catalog)
        if not _is_rewritten(catalog, before, after):
            return found
        before = after
    raise CatalogBusy(
        f"The files of {catalog.name} were rewritten while they were listed, again and again.",
        hint="Try again in a moment.",
    )


def _newest(catalog: Catalog) -> int:
    newest: int | None = rows(catalog, "SELECT max(snapshot_id) FROM {ducklake_snapshot}")[0][0]
    return newest or 0


def _is_rewritten(catalog: Catalog, before: int, after: int) -> bool:
    """Tell whether a snapshot between the two did more than add rows."""
    if before == after:
        return False
    found = rows(
        catalog,
        "SELECT count(*) FROM {ducklake_snapshot} s LEFT JOIN {ducklake_snapshot_changes} c"
        " USING (snapshot_id) WHERE s.snapshot_id > %(before)s"
        " AND coalesce(c.changes_made, '') !~ %(harmless)s",
        {"before": before, "harmless": HARMLESS},
    )
    return bool(found[0][0])
