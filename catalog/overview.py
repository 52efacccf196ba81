"""What the console shows of catalogs: how much they hold, and pages of their tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from accounts.domain import Actor
from catalog import cursors, lake, selectors
from catalog.domain import Table
from catalog.lake import Search, Totals
from catalog.models import Catalog
from catalog.stored_views.seen import SeenView, visible_views
from catalog.visibility import visible_tables, visible_totals
from governance import selectors as governance
from governance.tags import shown
from workspaces.models import Workspace

SNAPSHOTS_SHOWN = 20
PAGE = 50
MOST_VIEWS = 200
IN_TREE = 60
"""A tree shows no more tables than that of all catalogs together; typing finds the others."""


@dataclass(frozen=True, slots=True)
class TableLine:
    """One table in a list."""

    table: Table
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CatalogLine:
    """One catalog in a list; `snapshot_id` is None while it is being made."""

    catalog: Catalog
    snapshot_id: int | None
    changed_at: datetime | None
    totals: Totals


@dataclass(frozen=True, slots=True)
class TablesPage:
    """Some of a catalog's tables; `following` is the cursor of the next page, empty on the last."""

    catalog: Catalog
    lines: tuple[TableLine, ...] = ()
    following: str = ""
    views: tuple[SeenView, ...] = ()
    """On the first page only: views are few."""


def catalog_lines(
    actor: Actor, workspace: Workspace, *, with_archived: bool = False
) -> list[CatalogLine]:
    """Return the catalogs that `actor` may browse, each with what it holds."""
    found = selectors.visible_catalogs(actor, workspace, with_archived=with_archived)
    return [catalog_line(actor, catalog) for catalog in found]


def catalog_line(actor: Actor, catalog: Catalog) -> CatalogLine:
    """Return one catalog with what the tables of its newest snapshot hold."""
    try:
        newest = lake.latest_snapshot(catalog)
    except lake.CatalogNotReady:
        return CatalogLine(catalog, None, None, Totals())
    totals = visible_totals(actor, catalog, newest.snapshot_id)
    return CatalogLine(catalog, newest.snapshot_id, newest.snapshot_time, totals)


def tables_page(
    actor: Actor,
    catalog: Catalog,
    search: Search = lake.EVERYTHING,
    *,
    cursor: str = "",
    size: int = PAGE,
) -> TablesPage:
    """Return some tables of the newest snapshot that fit a search, with the columns shown to one.

    Raises `Invalid` for what is no cursor.
    """
    after = cursors.read(cursor)
    try:
        newest = lake.latest_snapshot(catalog).snapshot_id
    except lake.CatalogNotReady:
        return TablesPage(catalog)
    found = visible_tables(
        actor, catalog, newest, search=search, after=after, limit=size + 1, with_columns=True
    )
    fitting = [
        table
        for table in selectors.as_shown_to(actor, catalog, found)
        if not search.in_columns or search.fits(_names(table))
    ]
    following = cursors.after(fitting[size - 1]) if len(fitting) > size else ""
    views = () if cursor else tuple(visible_views(actor, catalog, newest, search)[:MOST_VIEWS])
    return TablesPage(catalog, tuple(lines_of(catalog, fitting[:size])), following, views)


def tree(
    actor: Actor, workspace: Workspace, search: Search, *, most: int = IN_TREE
) -> list[TablesPage]:
    """Return the first tables that fit a search of every catalog that `actor` may browse."""
    catalogs = selectors.visible_catalogs(actor, workspace, with_archived=False)
    size = max(1, most // max(1, len(catalogs)))
    return [tables_page(actor, catalog, search, size=size) for catalog in catalogs]


def tables_named(actor: Actor, workspace: Workspace, text: str, most: int) -> list[Table]:
    """Return some tables of the workspace whose whole name holds every word of the text."""
    found: list[Table] = []
    for catalog in selectors.visible_catalogs(actor, workspace, with_archived=False):
        try:
            newest = lake.latest_snapshot(catalog).snapshot_id
        except lake.CatalogNotReady:
            continue
        search, limit = Search.of(text), most - len(found)
        found += visible_tables(
            actor, catalog, newest, search=search, limit=limit, with_sizes=False
        )
        if len(found) == most:
            break
    return found


def views_named(actor: Actor, workspace: Workspace, text: str, most: int) -> list[SeenView]:
    """Return some views of the workspace whose whole name holds every word of the text."""
    found: list[SeenView] = []
    for catalog in selectors.visible_catalogs(actor, workspace, with_archived=False):
        try:
            newest = lake.latest_snapshot(catalog).snapshot_id
        except lake.CatalogNotReady:
            continue
        found += visible_views(actor, catalog, newest, Search.of(text))
    return found[:most]


def lines_of(catalog: Catalog, tables: Sequence[Table]) -> list[TableLine]:
    """Return tables with the tags that count for them."""
    parent = catalog.securable
    tags = governance.tags_of(table.securable(parent) for table in tables)
    return [TableLine(table, tuple(shown(tags[table.key]))) for table in tables]


def _names(table: Table) -> tuple[str, ...]:
    columns = (column.name.lower() for column in table.top_columns)
    return (table.label.lower(), *columns)
