"""Step 2: names become tables at pinned snapshots. What one may not see does not exist.

A name of one part is looked up in the default catalog's `main` schema, then in the `main` of
every other catalog, where it must be unique. Two parts are a catalog and a table of its `main`,
or a schema of the default catalog, of any catalog where there is no default, and a table. Names
are compared as DuckDB does: ASCII letters lose case.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from accounts.composed import Composed
from accounts.domain import Actor
from catalog import lake
from catalog.domain import Snapshot, Table
from catalog.lake.snapshots import UnknownSnapshot
from catalog.models import Catalog
from catalog.selectors import (
    UnknownCatalog,
    UnknownTable,
    did_you_mean,
    visible_catalogs,
)
from catalog.visibility import nearest_labels
from execution.domain import TableName
from execution.gate.check import fold
from execution.moments import Moment
from problems import Problem
from workspaces.models import Workspace

MAIN = "main"
FILE_ENDINGS = (".parquet", ".csv", ".json", ".arrow", ".gz", ".zst", ".db", ".duckdb", ".xlsx")

IsVisible = Callable[["Candidate"], bool]
Place = tuple[Catalog | None, str]
Pin = tuple[str, Moment | None]
"""A catalog, and a moment that a text gives tables; without one, the query's own snapshot."""


class AmbiguousTable(Problem):
    """A name stands for more than one table."""

    code: ClassVar[str] = "ambiguous-table"
    status: ClassVar[int] = 422
    title: ClassVar[str] = "The table's name is ambiguous"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A table that a name may stand for, in its catalog at the pinned snapshot.

    `shown_in` is the name under which engines have its catalog at another snapshot than the
    query's; no catalog can bear it.
    """

    catalog: Catalog
    snapshot: Snapshot
    table: Table
    shown_in: str = ""

    @property
    def identity(self) -> tuple[str, int]:
        """Return what tells it from every other one, and from itself at another snapshot."""
        return self.table.key, self.snapshot.snapshot_id

    @property
    def engine_name(self) -> TableName:
        """Return the name under which engines find it."""
        catalog = self.shown_in or self.catalog.name
        return TableName(catalog, self.table.schema_name, self.table.name)


@dataclass(slots=True)
class Lakes:
    """The catalogs a query may name, their snapshots read when first needed and then pinned."""

    catalogs: Sequence[Catalog]
    wanted: Mapping[str, int]
    default: Catalog | None = None
    failed: dict[str, Problem] = field(default_factory=dict)
    """Why a catalog could not be read, by its name: raised only to those who may see it."""
    missing: dict[Pin, UnknownSnapshot] = field(default_factory=dict)
    """The catalogs that have no snapshot of a moment: no table of that name is in them then."""
    _pinned: dict[Pin, Snapshot] = field(default_factory=dict)
    _tables: dict[tuple[str, str, str, Moment | None], Candidate | None] = field(
        default_factory=dict
    )
    _views: dict[tuple[str, str, str, Moment | None], lake.View | None] = field(
        default_factory=dict
    )

    def named(self, name: str) -> Catalog | None:
        """Return the catalog called `name`."""
        return next((c for c in self.catalogs if fold(c.name) == fold(name)), None)

    def snapshot(self, catalog: Catalog, at: Moment | None = None) -> Snapshot:
        """Return the one snapshot at which this query reads `catalog`, or that of a moment."""
        if (catalog.name, at) not in self._pinned:
            asked = self.wanted.get(catalog.name) if at is None else at.version
            if at is not None and at.time is not None:
                found = lake.snapshot_at(catalog, at.time)
            elif asked is None:
                found = lake.latest_snapshot(catalog)
            else:
                found = lake.snapshot(catalog, asked)
            self._pinned[catalog.name, at] = found
        return self._pinned[catalog.name, at]

    def find(
        self, catalog: Catalog, schema: str, name: str, at: Moment | None = None
    ) -> Candidate | None:
        """Return the table of that name, whoever may see it."""
        key = (catalog.name, fold(schema), fold(name), at)
        if key not in self._tables:
            self._tables[key] = self._read(catalog, schema, name, at)
        return self._tables[key]

    def view(
        self, catalog: Catalog, schema: str, name: str, at: Moment | None = None
    ) -> lake.View | None:
        """Return the view of that name, whoever may see it."""
        key = (catalog.name, fold(schema), fold(name), at)
        if key not in self._views:
            is_readable = catalog.name not in self.failed and (catalog.name, at) not in self.missing
            self._views[key] = (
                lake.view(catalog, self.snapshot(catalog, at).snapshot_id, schema, name)
                if is_readable
                else None
            )
        return self._views[key]

    def _read(
        self, catalog: Catalog, schema: str, name: str, at: Moment | None
    ) -> Candidate | None:
        if catalog.name in self.failed or (catalog.name, at) in self.missing:
            return None
        try:
            pinned = self.snapshot(catalog)
            snapshot = pinned if at is None else self._then(catalog, at)
            if snapshot is None:
                return None
            if at is not None and snapshot == pinned:
                return self.find(catalog, schema, name)
            table = lake.table(catalog, snapshot.snapshot_id, schema, name)
        except Problem as problem:
            self.failed[catalog.name] = problem
            return None
        shown_in = "" if at is None else f"{catalog.name}@{snapshot.snapshot_id}"
        return Candidate(catalog, snapshot, table, shown_in) if table else None

    def _then(self, catalog: Catalog, at: Moment) -> Snapshot | None:
        """Return the snapshot of a moment; None, and noted, where the catalog has none."""
        try:
            return self.snapshot(catalog, at)
        except UnknownSnapshot as problem:
            self.missing[catalog.name, at] = problem
            return None


@dataclass(frozen=True, slots=True)
class Resolution:
    """The tables of a query, each once, and where the engine looks unqualified names up."""

    tables: tuple[Candidate, ...]
    search_path: tuple[tuple[str, str], ...]
    chosen: Mapping[TableName, Candidate]

    def engine_name(self, name: TableName) -> TableName:
        """Return the name under which engines find what a name of the query stands for."""
        return self.chosen[name].engine_name

    def own_name(self, name: TableName) -> TableName:
        """Return the whole name of what a name of the query stands for."""
        found = self.chosen[name]
        return TableName(found.catalog.name, found.table.schema_name, found.table.name)


_catalogs = Composed(
    lambda workspace: Catalog.objects.live().filter(workspace=workspace).select_related("bucket")
)


def lakes_of(workspace: Workspace, default_catalog: str, snapshots: Mapping[str, int]) -> Lakes:
    """Return the lakes that a query of the workspace may name, whoever may see them."""
    found = Lakes(_catalogs.ask(workspace=workspace.id), {})
    for one in found.catalogs:
        one.workspace = workspace  # known already, and a join of sixty columns
    wanted = {
        catalog.name: snapshot_id
        for name, snapshot_id in snapshots.items()
        if (catalog := found.named(name))
    }
    return Lakes(found.catalogs, wanted, found.named(default_catalog))


def check_catalogs(
    actor: Actor, workspace: Workspace, names: Iterable[str], lakes: Lakes, visible: Container[str]
) -> None:
    """Raise `UnknownCatalog` for a name that is none the actor may see, or why one cannot be read.

    `visible` are the names of the catalogs that the actor may see.
    """
    for name in names:
        catalog = lakes.named(name)
        if catalog is None or catalog.name not in visible:
            known = [c.name for c in visible_catalogs(actor, workspace)]
            raise UnknownCatalog(
                f"There is no catalog {name!r} that you may browse.",
                hint=did_you_mean(name, known),
            )
    for catalog_name, problem in lakes.failed.items():
        if catalog_name in visible:
            raise problem


def candidates(names: Sequence[TableName], lakes: Lakes) -> tuple[Candidate, ...]:
    """Return every table that one of `names` may stand for, whoever may see it."""
    found = [c for name in names for group in _groups(name, lakes) for c in group]
    return tuple({id(c): c for c in found}.values())


def resolve(
    actor: Actor, names: Sequence[TableName], lakes: Lakes, is_visible: IsVisible
) -> Resolution:
    """Return the table that each name stands for, of those that the actor may see.

    Raises `UnknownTable` with the nearest names, or `AmbiguousTable`.
    """
    chosen: dict[TableName, Candidate] = {}
    for name in names:
        seen = ([c for c in group if is_visible(c)] for group in _groups(name, lakes))
        best = next((group for group in seen if group), [])
        if not best:
            raise _unknown(actor, name, lakes)
        if len(best) > 1:
            raise _ambiguous(name, best)
        chosen[name] = best[0]
    return Resolution(_once(chosen.values()), _search_path(chosen, lakes), chosen)


def places_of(name: TableName, lakes: Lakes) -> list[list[Place]]:
    """Return the schemas in which `name` is looked for, in groups of equal standing."""
    if name.catalog:
        return [[(lakes.named(name.catalog), name.schema or MAIN)]]
    if name.schema:
        holders = [lakes.default] if lakes.default else lakes.catalogs
        return [[(lakes.named(name.schema), MAIN), *((c, name.schema) for c in holders)]]
    others = [(c, MAIN) for c in lakes.catalogs if c is not lakes.default]
    return [[(lakes.default, MAIN)], [*others]]


def _groups(name: TableName, lakes: Lakes) -> list[list[Candidate]]:
    """Return what `name` may stand for, in groups: the first group with a visible one counts."""
    return [_found(lakes, places, name) for places in places_of(name, lakes)]


def _found(lakes: Lakes, places: Iterable[Place], name: TableName) -> list[Candidate]:
    found = [lakes.find(c, schema, name.table, name.at) for c, schema in places if c]
    return list({id(c): c for c in found if c}.values())


def _once(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    return tuple({c.identity: c for c in candidates}.values())


def _search_path(
    chosen: Mapping[TableName, Candidate], lakes: Lakes
) -> tuple[tuple[str, str], ...]:
    """Return where the engine finds the short names that were used.

    The default catalog comes first, and `main` before other schemas, as names were resolved.
    """
    places = {
        (c.catalog.name, c.table.schema_name)
        for name, c in chosen.items()
        if not (name.catalog or name.at or _is_of_catalog(name, c))
    }
    default = lakes.default.name if lakes.default else ""
    return tuple(sorted(places, key=lambda p: (p[1] != MAIN, p[0] != default, p)))


def _is_of_catalog(name: TableName, candidate: Candidate) -> bool:
    """Tell whether a name of two parts named the catalog: the engine needs no help with it."""
    return bool(name.schema) and fold(name.schema) == fold(candidate.catalog.name)


def _missing(name: TableName, lakes: Lakes, visible: Container[str]) -> UnknownSnapshot | None:
    """Return that a catalog, which the actor may see, has no snapshot of the name's moment."""
    places = [catalog.name for group in places_of(name, lakes) for catalog, _ in group if catalog]
    found = (lakes.missing.get((place, name.at)) for place in places if place in visible)
    return next((problem for problem in found if problem), None)


def _unknown(actor: Actor, name: TableName, lakes: Lakes) -> Problem:
    workspace = lakes.catalogs[0].workspace if lakes.catalogs else None
    visible = visible_catalogs(actor, workspace) if workspace else []
    if problem := _missing(name, lakes, {catalog.name for catalog in visible}):
        return problem
    labels = [
        label
        for catalog in visible
        for label in nearest_labels(actor, catalog, lakes.snapshot(catalog).snapshot_id, name.text)
    ]
    spellings = {spelling: label for label in labels for spelling in _spellings(label)}
    hint = did_you_mean(name.text, list(spellings))
    if not hint and ("/" in name.table or fold(name.table).endswith(FILE_ENDINGS)):
        hint = "Files are not read by name: upload the file into a table first."
    when = f" {name.at.text}" if name.at else ""
    return UnknownTable(
        f"There is no table {name.text!r}{when} that you may query.",
        hint=hint,
        reason_code="table_not_granted",
    )


def _spellings(label: str) -> list[str]:
    """Return the ways to name a table, the shortest last."""
    catalog, schema, table = label.split(".", 2)
    return [label, f"{catalog}.{table}", table] if schema == MAIN else [label]


def _ambiguous(name: TableName, candidates: Sequence[Candidate]) -> AmbiguousTable:
    labels = " or ".join(sorted(c.table.label for c in candidates))
    return AmbiguousTable(
        f"The name {name.text!r} could stand for {labels}.",
        hint="Write the whole name, or choose a default catalog.",
    )
