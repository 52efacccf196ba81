"""Puts what a view selects in the place of its name, and lets the gate judge the whole again.

A view is stored SQL that somebody else wrote, perhaps with another program: it is checked like
any query, and reads with the rights of who asks. Neither the binder nor a slice ever holds a
view: they see a query over tables, so that estimates, masks and row filters need not know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import ClassVar

from accounts.domain import Actor
from catalog import lake
from catalog.lake.types import quoted
from catalog.lake.views import CATALOG
from catalog.models import Catalog
from catalog.stored_views.seen import visible_views
from execution import gate
from execution.domain import GatedQuery, TableName, TableReference
from execution.gate import names
from execution.gate.check import fold
from execution.moments import Moment
from execution.resolve import MAIN, Lakes, Pin, places_of
from problems import Problem

MAX_DEPTH = 8
MAX_VIEWS = 64
DIALECT = "duckdb"
DESCRIBING = frozenset({"desc", "describe", "summarize"})


class ViewNotSafe(Problem):
    """A view does what a query may not do, or cannot be followed; nothing was run."""

    code: ClassVar[str] = "view-not-safe"
    status: ClassVar[int] = 422
    title: ClassVar[str] = "The view cannot be used"


@dataclass(frozen=True, slots=True)
class _Found:
    """A view in its catalog."""

    catalog: Catalog
    view: lake.View

    @property
    def label(self) -> str:
        return f"{self.catalog.name}.{self.view.schema_name}.{self.view.name}"


def expanded(actor: Actor, query: GatedQuery, lakes: Lakes) -> GatedQuery:
    """Return the query with each view replaced by what it selects, checked as a whole.

    A name that a table bears is never a view's. Raises `ViewNotSafe` or `SqlRefused`.
    """
    expansion = _Expansion(actor, lakes)
    sql = expansion.text(query, lambda name: name, ())
    if not expansion.count:
        return query
    try:
        return gate.check(sql, time_travel=True)
    except gate.SqlRefused as refused:
        raise ViewNotSafe(
            f"With its views in their places the query cannot be run: {refused.detail}",
            hint="Write SELECT * FROM the view in a subquery, or use fewer views.",
            reason_code="view_not_safe",
        ) from refused


@dataclass(slots=True)
class _Expansion:
    """The replacing of the views of one query."""

    actor: Actor
    lakes: Lakes
    count: int = 0
    visible: dict[Pin, frozenset[int]] = field(default_factory=dict)
    """The views that the actor may see, by catalog and moment."""

    def text(
        self,
        query: GatedQuery,
        spelled: Callable[[TableName], TableName],
        above: tuple[str, ...],
    ) -> str:
        """Return the text with views replaced; `spelled` says what a name means where it is."""
        sql = query.sql
        for reference in sorted(query.references, key=_location, reverse=True):
            meant = spelled(reference.name)
            found = self.find(meant)
            if found is not None and meant.at:
                raise _fixed(found).at(query.sql, reference.location)
            if found is not None:
                sql = self.replaced(sql, reference, self.body(found, above), found)
            elif meant is not reference.name:
                sql = _renamed(sql, reference, meant)
        return sql

    def find(self, name: TableName) -> _Found | None:
        """Return the view that a name stands for, where no table bears it and it may be seen."""
        for group in places_of(name, self.lakes):
            places = [(catalog, schema) for catalog, schema in group if catalog]
            if any(self.lakes.find(c, schema, name.table, name.at) for c, schema in places):
                return None
            found = [
                _Found(catalog, view)
                for catalog, schema in places
                if (view := self.lakes.view(catalog, schema, name.table, name.at))
                and self.is_visible(catalog, view, name.at)
            ]
            if len(found) > 1:
                raise _unsafe(found[0], "its name stands for more than one view")
            if found:
                return found[0]
        return None

    def is_visible(self, catalog: Catalog, view: lake.View, at: Moment | None) -> bool:
        """Tell whether the actor may know of the view; its catalog's are decided once."""
        if (catalog.name, at) not in self.visible:
            snapshot = self.lakes.snapshot(catalog, at).snapshot_id
            seen = visible_views(self.actor, catalog, snapshot)
            self.visible[catalog.name, at] = frozenset(one.view.view_id for one in seen)
        return view.view_id in self.visible[catalog.name, at]

    def body(self, found: _Found, above: tuple[str, ...]) -> str:
        """Return what a view selects, with its own views replaced and its tables named whole."""
        if found.label in above:
            raise _unsafe(found, f"it reads itself, by way of {' and '.join(above)}")
        self.count += 1
        if len(above) >= MAX_DEPTH or self.count > MAX_VIEWS:
            raise _unsafe(
                found, f"views nest deeper than {MAX_DEPTH}, or are more than {MAX_VIEWS}"
            )
        if found.view.dialect != DIALECT:
            raise _unsafe(found, f"it is written for {found.view.dialect}")
        try:
            query = gate.check(found.view.sql.replace(CATALOG, quoted(found.catalog.name)))
        except gate.SqlRefused as refused:
            raise _unsafe(found, refused.detail) from refused
        return self.text(query, self.meaning(found), (*above, found.label))

    def meaning(self, found: _Found) -> Callable[[TableName], TableName]:
        """Return how names are meant in a view: from its own schema and catalog, never another."""
        catalog, schema = found.catalog.name, found.view.schema_name

        def meant(name: TableName) -> TableName:
            if name.catalog and fold(name.catalog) != fold(catalog):
                raise _unsafe(found, "it reads another catalog")
            if name.catalog:
                return TableName(catalog, name.schema or MAIN, name.table)
            if name.schema:
                return TableName(catalog, name.schema, name.table)
            own = (schema, MAIN)
            holder = next((s for s in own if self.exists(found.catalog, s, name.table)), schema)
            return TableName(catalog, holder, name.table)

        return meant

    def exists(self, catalog: Catalog, schema: str, name: str) -> bool:
        """Tell whether a table or view of that name is in the schema."""
        return bool(
            self.lakes.find(catalog, schema, name) or self.lakes.view(catalog, schema, name)
        )

    def replaced(self, sql: str, reference: TableReference, body: str, found: _Found) -> str:
        """Return the text with the body in the place of the view's name."""
        start, end = span(sql, reference)
        alias = quoted(found.view.name)
        # On lines of their own, so that a comment in the body ends with it.
        inner = f"(\n{body}\n)"
        if found.view.columns:
            columns = ", ".join(quoted(name) for name in found.view.columns)
            inner = f"(SELECT * FROM {inner} AS {alias}({columns}))"  # noqa: S608 - checked again
        if _word_before(sql, start) in DESCRIBING:
            inner = f"(SELECT * FROM {inner} AS {alias})"  # noqa: S608 - as above
        elif not reference.is_aliased:
            inner = f"{inner} AS {alias}"
        return f"{sql[:start]}{inner}{sql[end:]}"


def _renamed(sql: str, reference: TableReference, meant: TableName) -> str:
    start, end = span(sql, reference)
    whole = ".".join(quoted(part) for part in (meant.catalog, meant.schema, meant.table))
    return f"{sql[:start]}{whole}{sql[end:]}"


def span(sql: str, reference: TableReference) -> tuple[int, int]:
    """Return where a name begins and ends. Raises `ViewNotSafe` where the text does not say."""
    start = len(sql.encode()[: reference.location].decode(errors="ignore"))
    name = reference.name
    parts = [part for part in (name.catalog, name.schema, name.table) if part]
    try:
        spans = names.spans(sql, start, parts)
    except names.NameNotFound:
        raise ViewNotSafe(
            f"It is not clear where {name.text} stands in the text.",
            hint="Write the names of views plainly.",
            reason_code="view_not_safe",
        ) from None
    return spans[0][0], spans[-1][1]


def _word_before(sql: str, start: int) -> str:
    words: Iterable[str] = sql[:start].split()
    return fold(list(words)[-1]) if sql[:start].strip() else ""


def _location(reference: TableReference) -> int:
    return reference.location


def _fixed(found: _Found) -> gate.SqlRefused:
    return gate.SqlRefused(
        gate.RefusalCode.TIME_TRAVEL,
        f"AT (…) is for tables: {found.label} is a view.",
        hint="Write out what the view selects, with AT (…) at its tables.",
    )


def _unsafe(found: _Found, why: str) -> ViewNotSafe:
    return ViewNotSafe(
        f"The view {found.label} cannot be used: {why.rstrip('.')}.",
        hint="Ask who made the view to change it, or query its tables.",
        reason_code="view_not_safe",
    )
