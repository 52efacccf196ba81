"""Which views of a lake one may see: those all of whose tables one may browse.

A view reads with the rights of who asks, and its name, text and columns tell of what it reads. So
it is as visible as the least visible of its tables, through all views between, and there is no
securable of its own to grant. What cannot be followed (a table that is gone, a text that the gate
refuses) is shown by name only to those who may change definitions in the catalog: they can mend it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from accounts.domain import Actor
from catalog import lake
from catalog.domain import Table
from catalog.lake.views import View
from catalog.models import Catalog
from catalog.stored_views.texts import registered
from governance import services as governance
from governance.domain import Action, Request

MAIN = "main"
DIALECT = "duckdb"

Name = tuple[str, str]


@dataclass(frozen=True, slots=True)
class SeenView:
    """A view that somebody may see. `reads` are its tables, through all views between.

    `problem` says why it cannot be used; of such a view only the name is shown.
    """

    catalog: Catalog
    view: View
    reads: tuple[Table, ...] = ()
    through: tuple[str, ...] = ()
    problem: str = ""

    @property
    def label(self) -> str:
        """Return the name people read and SQL uses."""
        return f"{self.catalog.name}.{self.view.schema_name}.{self.view.name}"


def visible_views(
    actor: Actor,
    catalog: Catalog,
    snapshot_id: int,
    search: lake.Search = lake.EVERYTHING,
    *,
    with_columns: bool = False,
) -> list[SeenView]:
    """Return the views at a snapshot that `actor` may see, by schema and name.

    In a number of statements that does not grow with them.
    """
    found = lake.views(catalog, snapshot_id)
    if not found:
        return []
    lineage = _Lineage(catalog, snapshot_id, found, with_columns=with_columns)
    asked = [t.securable(catalog.securable) for t in lineage.tables.values()]
    requests = [
        Request(Action.TABLE_ALTER, catalog.securable),
        Request(Action.CATALOG_BROWSE, catalog.securable),
        *(Request(Action.CATALOG_BROWSE, securable) for securable in asked),
    ]
    may_mend, may_browse, *others = governance.decide_many(actor, requests)
    if not may_browse.allowed:
        return []
    browsable = {s.key for s, decision in zip(asked, others, strict=True) if decision.allowed}
    shown = []
    for view in found:
        seen = lineage.seen(view)
        if not search.fits((seen.label.lower(),)):
            continue
        if seen.problem:
            shown += [SeenView(catalog, view, problem=seen.problem)] if may_mend.allowed else []
        elif all(table.key in browsable for table in seen.reads):
            shown.append(seen)
    return shown


def reading(catalog: Catalog, snapshot_id: int, table: Table) -> list[SeenView]:
    """Return the views that read a table, whoever may see them, by schema and name."""
    found = lake.views(catalog, snapshot_id)
    lineage = _Lineage(catalog, snapshot_id, found) if found else None
    seen = [lineage.seen(view) for view in found] if lineage else []
    return [one for one in seen if table.key in {read.key for read in one.reads}]


class _Lineage:
    """What each view of a catalog reads at a snapshot."""

    def __init__(
        self,
        catalog: Catalog,
        snapshot_id: int,
        views: Sequence[View],
        *,
        with_columns: bool = False,
    ) -> None:
        self.catalog = catalog
        self.views = {_key(view.schema_name, view.name): view for view in views}
        texts = registered()
        self.readings = {v.view_id: texts.reading(catalog, v.sql) for v in views}
        self.known: dict[int, SeenView | None] = {}
        names = frozenset(
            ".".join(place)
            for view in views
            for schema, name in self.readings[view.view_id].names
            for place in _places(view, schema, name)
        )
        pages = lake.page(
            catalog,
            snapshot_id,
            only=lake.Choice(names=names),
            with_columns=with_columns,
            with_sizes=False,
        )
        self.tables: Mapping[Name, Table] = {_key(t.schema_name, t.name): t for t in pages}

    def seen(self, view: View) -> SeenView:
        """Return what a view reads, or why that cannot be said; each is followed once."""
        if view.view_id in self.known:
            found = self.known[view.view_id]
            return found or SeenView(self.catalog, view, problem="it reads itself")
        self.known[view.view_id] = None
        found = self.known[view.view_id] = self._followed(view)
        return found

    def _followed(self, view: View) -> SeenView:
        found = self.readings[view.view_id]
        problem = found.fault
        if view.dialect != DIALECT:
            problem = f"it is written for {view.dialect[:40]}"
        tables: dict[str, Table] = {}
        through: dict[str, None] = {}
        for schema, name in () if problem else found.names:
            meant = self._meant(view, schema, name)
            if meant is None:
                problem = "it names a table that is not there"
            elif isinstance(meant, Table):
                tables[meant.key] = meant
            else:
                inner = self.seen(meant)
                problem = problem or inner.problem
                tables |= {table.key: table for table in inner.reads}
                through |= dict.fromkeys((f"{meant.schema_name}.{meant.name}", *inner.through))
        if problem:
            return SeenView(self.catalog, view, problem=problem)
        return SeenView(self.catalog, view, tuple(tables.values()), tuple(through))

    def _meant(self, view: View, schema: str, name: str) -> Table | View | None:
        """Return what a name stands for in a view: a table before a view of the same name."""
        for place in _places(view, schema, name):
            if found := self.tables.get(place) or self.views.get(place):
                return found
        return None


def _places(view: View, schema: str, name: str) -> Iterable[Name]:
    schemas = (schema,) if schema else (view.schema_name, MAIN)
    return [_key(one, name) for one in schemas]


def _key(schema: str, name: str) -> Name:
    return schema.lower(), name.lower()
