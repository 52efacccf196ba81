"""Views that read a table, for those who are about to change it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from accounts.domain import Actor
from catalog import lake
from catalog.domain import Table
from catalog.models import Catalog
from catalog.stored_views.seen import SeenView, reading, visible_views
from catalog.tables.dependents import Dependent

UNSEEN = "a view that you do not see"
WORD = re.compile(r'"(?:[^"]|"")+"|[^\W\d]\w*')


@dataclass(frozen=True, slots=True)
class ViewsOfLake:
    """What the catalog registers with itself; see `catalog.tables.dependents.Dependents`."""

    def naming(
        self, actor: Actor, catalog: Catalog, table: Table, columns: frozenset[str] | None
    ) -> list[Dependent]:
        """Return the views that read the table, through others too, or name a column of it."""
        newest = lake.latest_snapshot(catalog).snapshot_id
        found = reading(catalog, newest, table)
        if not found:
            return []
        visible = {one.view.view_id for one in visible_views(actor, catalog, newest)}
        dependents = []
        for one in found:
            named = _named(one, columns)
            if columns is None or named:
                is_seen = one.view.view_id in visible
                what = ", ".join(sorted(named)) if named and is_seen else "the table"
                name = one.label if is_seen else UNSEEN
                dependents.append(Dependent("view", name, f"reads {what}: it may fail."))
        return dependents


def _named(found: SeenView, columns: frozenset[str] | None) -> frozenset[str]:
    """Return the columns whose names are words of the view's text."""
    words = {w.strip('"').replace('""', '"').lower() for w in WORD.findall(found.view.sql)}
    return frozenset(column for column in columns or () if column.lower() in words)
