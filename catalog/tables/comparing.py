"""Two moments of one table, as somebody may see them."""

from __future__ import annotations

from accounts.domain import Actor
from catalog import lake
from catalog.domain import Table
from catalog.models import Catalog
from catalog.selectors import UnknownTable, as_shown_to, find_table
from catalog.tables.definitions import layout_of
from catalog.tables.history import Difference, difference
from catalog.tables.layout import Layout


def compared(
    actor: Actor, catalog: Catalog, named: tuple[str, str], first: int, last: int | None = None
) -> Difference:
    """Return what differs of the table `named` (schema, name) between two snapshots.

    They may be in either order; `last` is the newest where it is left out. Columns that policies
    hide are left out of both. Raises `UnknownTable` or `UnknownSnapshot`.
    """
    newest = lake.latest_snapshot(catalog).snapshot_id
    older, younger = sorted((first, newest if last is None else last))
    for snapshot_id in (older, younger):
        lake.snapshot(catalog, snapshot_id)
    table = find_table(actor, catalog, newest, *named)
    before, after = (_seen_at(actor, catalog, table, at) for at in (older, younger))
    return difference(catalog, before, after, older, younger)


def _seen_at(
    actor: Actor, catalog: Catalog, table: Table, snapshot_id: int
) -> tuple[Table, Layout]:
    found = lake.table_by_uuid(catalog, snapshot_id, table.table_uuid)
    if found is None:
        raise UnknownTable(
            f"{table.label} was not there at snapshot {snapshot_id}.",
            hint="Choose two snapshots of the table's own history.",
        )
    (seen,) = as_shown_to(actor, catalog, [found])
    return found, layout_of(catalog, snapshot_id, found, seen)
