"""What the console shows of catalogs: tables with their tags, sizes, access and statistics."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from accounts.domain import Actor, DeviceStatus
from accounts.models import Device
from catalog import lake, selectors
from catalog.domain import Column, Table
from catalog.lake.summaries import ColumnSummary, column_summaries
from catalog.models import Catalog
from governance import selectors as governance
from governance.domain import Action, Decision, DecisionContext, Request, Securable
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


@dataclass(frozen=True, slots=True)
class Access:
    """The answer to one thing the person may want to do with a table."""

    label: str
    decision: Decision


@dataclass(frozen=True, slots=True)
class TablePage:
    """Everything the page of one table shows; no summary where its rows may not be read."""

    catalog: Catalog
    snapshot_id: int
    line: TableLine
    owner: str
    access: tuple[Access, ...]
    columns: tuple[tuple[Column, ColumnSummary], ...]
    snapshots: tuple[lake.Change, ...]

    @property
    def may_append(self) -> bool:
        """Tell whether the person may append to the table."""
        return any(
            a.decision.action is Action.TABLE_APPEND and a.decision.allowed for a in self.access
        )


def catalog_lines(
    actor: Actor, workspace: Workspace, *, with_columns: bool = False
) -> list[CatalogLine]:
    """Return the catalogs that `actor` may browse, each with its tables."""
    found = selectors.visible_catalogs(actor, workspace)
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
    lines = tuple(_lines(catalog, tables))
    return CatalogLine(catalog, newest.snapshot_id, newest.snapshot_time, lines)


def _lines(catalog: Catalog, tables: list[Table]) -> list[TableLine]:
    parent = catalog.securable
    tags = governance.tags_of(table.securable(parent) for table in tables)
    return [TableLine(table, tuple(shown(tags[table.key]))) for table in tables]


def table_page(actor: Actor, catalog: Catalog, schema: str, name: str) -> TablePage:
    """Return the page of one table. Raises `selectors.UnknownTable`."""
    newest = lake.latest_snapshot(catalog)
    table = selectors.find_table(actor, catalog, newest.snapshot_id, schema, name)
    securable = table.securable(catalog.securable)
    access = _access(actor, securable)
    owner = governance.contact_of(securable)
    (table,) = selectors.as_shown_to(actor, catalog, [table])
    known = _summaries(catalog, table, newest.snapshot_id) if _sees_all(access) else {}
    return TablePage(
        catalog=catalog,
        snapshot_id=newest.snapshot_id,
        line=_lines(catalog, [table])[0],
        owner=owner.name if owner else "",
        access=access,
        columns=tuple((c, known.get(c.column_id, ColumnSummary())) for c in table.top_columns),
        snapshots=tuple(lake.snapshots(catalog, limit=SNAPSHOTS_SHOWN)),
    )


def _summaries(catalog: Catalog, table: Table, snapshot_id: int) -> dict[int, ColumnSummary]:
    return column_summaries(catalog, table, snapshot_id)


def _sees_all(access: tuple[Access, ...]) -> bool:
    """Tell whether the rows may be read unchanged: bounds are values of rows."""
    asked = [a.decision for a in access if a.decision.action is Action.TABLE_QUERY]
    return all(decision.allowed and decision.obligations.is_empty for decision in asked)


def _access(actor: Actor, securable: Securable) -> tuple[Access, ...]:
    """Return what the person may do; local is asked as from a device of theirs, if approved."""
    on_server = [Request(Action.TABLE_QUERY, securable), Request(Action.TABLE_APPEND, securable)]
    query, append = governance.decide_many(actor, on_server, DecisionContext(place="server"))
    device = _device(actor)
    from_device = replace(actor, device=device.identity) if device else actor
    materialize = Request(Action.TABLE_MATERIALIZE_LOCALLY, securable)
    (local,) = governance.decide_many(from_device, [materialize], DecisionContext(place="local"))
    machine = f"Run on your machine ({device.name})" if device else "Run on your machine"
    return (Access("Query", query), Access(machine, local), Access("Append", append))


def _device(actor: Actor) -> Device | None:
    approved = Device.objects.filter(user_id=actor.id, status=DeviceStatus.APPROVED)
    return approved.order_by("-last_seen_at").first()
