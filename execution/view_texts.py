"""What the texts of views read and give: the gate reads them, the sandboxed binder types them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from accounts.domain import Actor
from catalog.lake.types import quoted
from catalog.lake.views import CATALOG, View
from catalog.models import Catalog
from catalog.stored_views.texts import Draft, Reading, ViewColumns
from execution import gate
from execution.domain import TableName, TableReference
from execution.expansion import span
from execution.gate.check import fold
from execution.planning import ground
from execution.resolve import MAIN, Lakes, lakes_of
from problems import Invalid, Problem

MAX_CHARACTERS = 20_000
REMEMBERED = 2_000


class ViewTextRefused(Invalid):
    """The text cannot be a view's."""

    code = "view-text-refused"
    title = "The text cannot be a view"


@dataclass(frozen=True, slots=True)
class EngineTexts:
    """What execution registers with the catalog; see `catalog.stored_views.texts.Texts`."""

    def reading(self, catalog: Catalog, sql: str) -> Reading:
        """Return what a stored text names."""
        return _reading(sql, catalog.name)

    def columns(self, actor: Actor, catalog: Catalog, view: View) -> ViewColumns:
        """Return what a view gives `actor` now, or what a query over it would be told."""
        name = ".".join(map(quoted, (catalog.name, view.schema_name, view.name)))
        try:
            found = ground(
                actor=actor,
                workspace=catalog.workspace,
                sql=f"SELECT * FROM {name}",  # noqa: S608 - quoted, and checked
                default_catalog=catalog.name,
            )
        except Problem as problem:
            return ViewColumns(problem=problem.detail)
        return ViewColumns(found.bound.columns)

    def draft(self, actor: Actor, catalog: Catalog, schema: str, sql: str) -> Draft:
        """Return `sql` as it would be stored: each table by its whole name, wherever it is read.

        Raises `ViewTextRefused`, or what a query over the same tables by `actor` would.
        """
        text = sql.strip().removesuffix(";").rstrip()
        if len(text) > MAX_CHARACTERS or CATALOG in text:
            raise ViewTextRefused(
                f"A view's text has at most {MAX_CHARACTERS:,} characters, and not {CATALOG}."
            )
        lakes = lakes_of(catalog.workspace, catalog.name, {})
        stored = _whole(text, lakes, catalog, schema)
        named = stored.replace(CATALOG, quoted(catalog.name))
        # On lines of its own, so that a comment ends with it.
        found = ground(
            actor=actor,
            workspace=catalog.workspace,
            sql=f"SELECT * FROM (\n{named}\n) AS view_of_it",  # noqa: S608 - checked
            default_catalog=catalog.name,
        )
        return Draft(stored, found.bound.columns)


@lru_cache(maxsize=REMEMBERED)
def _reading(sql: str, catalog: str) -> Reading:
    try:
        query = gate.check(sql.replace(CATALOG, quoted(catalog)))
    except gate.SqlRefused as refused:
        return Reading(fault=refused.detail.rstrip("."))
    if any(name.catalog and fold(name.catalog) != fold(catalog) for name in query.tables):
        return Reading(fault="it reads another catalog")
    return Reading(tuple((n.schema or (MAIN if n.catalog else ""), n.table) for n in query.tables))


def _whole(text: str, lakes: Lakes, catalog: Catalog, schema: str) -> str:
    """Return the text with the whole name in each place that names a table."""
    query = gate.check(text)
    for reference in sorted(query.references, key=lambda r: r.location, reverse=True):
        holder, name = _meant(reference, lakes, catalog, schema)
        start, end = span(text, reference)
        text = f"{text[:start]}{CATALOG}.{quoted(holder)}.{quoted(name)}{text[end:]}"
    return text


def _meant(
    reference: TableReference, lakes: Lakes, catalog: Catalog, schema: str
) -> tuple[str, str]:
    """Return the schema and name that a name stands for in a view of the schema."""
    name = reference.name
    is_other = name.catalog and fold(name.catalog) != fold(catalog.name)
    if is_other:
        raise ViewTextRefused(
            f"A view reads its own catalog: {name.text} is of another.",
            hint=f"Name tables of {catalog.name} only.",
        )
    places = _places(name, catalog, schema)
    for place in places:
        found = lakes.find(catalog, place, name.table) or lakes.view(catalog, place, name.table)
        if found is not None:
            return place, name.table
    return places[0], name.table


def _places(name: TableName, catalog: Catalog, schema: str) -> list[str]:
    if name.catalog:
        return [name.schema or MAIN]
    if not name.schema:
        return [schema, MAIN]
    return [name.schema, *([MAIN] if fold(name.schema) == fold(catalog.name) else [])]
