"""What the console shows of catalogs: tables with their tags and sizes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from accounts.domain import Actor
from catalog import lake, selectors
from catalog.domain import Table
from catalog.models import Catalog
from governance import selectors as governance
from governance.tags import shown
from workspaces.models import Workspace

SNAPSHOTS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class TableLine:
    """One table in a list."""

    table: Table
    tags: tuple[str, ...]

    @property
    def words(self) -> str:
        """Return what a filter looks through: the name and every column."""
        names = (self.table.label, *(column.name for column in self.table.top_columns))
        return " ".join(names).lower()


@dataclass(frozen=True, slots=True)
class CatalogLine:
    """One catalog in a list; `snapshot_id` is None while it is being made."""

    catalog: Catalog
    snapshot_id: int | None
    changed_at: datetime | None
    tables: tuple[TableLine, ...]

    @property
    def row_count(self) -> int:
        """Return the rows of all its tables."""
        return sum(line.table.record_count for line in self.tables)

    @property
    def size_bytes(self) -> int:
        """Return the bytes of all its data files."""
        return sum(line.table.file_size_bytes for line in self.tables)


def catalog_lines(
    actor: Actor,
    workspace: Workspace,
    *,
    with_columns: bool = False,
    with_archived: bool = False,
) -> list[CatalogLine]:
    """Return the catalogs that `actor` may browse, each with its tables."""
    found = selectors.visible_catalogs(actor, workspace, with_archived=with_archived)
    return [catalog_line(actor, catalog, with_columns=with_columns) for catalog in found]


def catalog_line(actor: Actor, catalog: Catalog, *, with_columns: bool = True) -> CatalogLine:
    """Return one catalog with the tables of its newest snapshot."""
    try:
        newest = lake.latest_snapshot(catalog)
    except lake.CatalogNotReady:
        return CatalogLine(catalog, None, None, ())
    tables = selectors.visible_tables(actor, catalog, newest.snapshot_id, with_columns=with_columns)
    if with_columns:
        tables = selectors.as_shown_to(actor, catalog, tables)
    lines = tuple(lines_of(catalog, tables))
    return CatalogLine(catalog, newest.snapshot_id, newest.snapshot_time, lines)


def lines_of(catalog: Catalog, tables: list[Table]) -> list[TableLine]:
    """Return tables with the tags that count for them."""
    parent = catalog.securable
    tags = governance.tags_of(table.securable(parent) for table in tables)
    return [TableLine(table, tuple(shown(tags[table.key]))) for table in tables]
