"""What is shown of one view: its columns, its text where that names nothing hidden, its tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from accounts.domain import Actor
from catalog import lake
from catalog.domain import Table
from catalog.lake.views import CATALOG
from catalog.models import Catalog
from catalog.selectors import as_shown_to
from catalog.services.stored_views import find_view
from catalog.stored_views.seen import SeenView
from catalog.stored_views.texts import ViewColumns, registered
from governance import services as governance
from governance.domain import Action, Request
from governance.selectors import decide

NAMES_UNSEEN = "Its text may name tables that you do not see."
NAMES_HIDDEN = "Its text names columns that policies hide from you."


@dataclass(frozen=True, slots=True)
class ViewPage:
    """One view as somebody may see it; `withheld` says why its text is not shown."""

    seen: SeenView
    text: str
    withheld: str
    given: ViewColumns
    may_alter: bool


def view_page(actor: Actor, catalog: Catalog, schema: str, name: str) -> ViewPage:
    """Return one view. Raises `UnknownView`."""
    seen = find_view(actor, catalog, schema, name)
    withheld = _withheld(actor, seen)
    given = ViewColumns(problem=seen.problem)
    if not seen.problem:
        given = registered().columns(actor, catalog, seen.view)
    return ViewPage(
        seen=seen,
        text="" if withheld else shown_text(seen),
        withheld=withheld,
        given=given,
        may_alter=decide(actor, Action.TABLE_ALTER, catalog.securable).allowed,
    )


def _maybe_read(seen: SeenView, text: str) -> Sequence[Table]:
    """Return the tables whose names stand somewhere in the text of a view."""
    newest = lake.latest_snapshot(seen.catalog).snapshot_id
    named = lake.page(seen.catalog, newest, with_sizes=False)
    names = frozenset(
        f"{table.schema_name}.{table.name}".lower() for table in named if table.name.lower() in text
    )
    only = lake.Choice(names=names)
    return lake.page(seen.catalog, newest, only=only, with_columns=True, with_sizes=False)


def _may_browse(actor: Actor, seen: SeenView, tables: Sequence[Table]) -> bool:
    parent = seen.catalog.securable
    asked = [Request(Action.CATALOG_BROWSE, table.securable(parent)) for table in tables]
    return all(decision.allowed for decision in governance.decide_many(actor, asked))


def shown_text(seen: SeenView) -> str:
    """Return a view's text as people write it: with the catalog's name."""
    return seen.view.sql.replace(CATALOG, seen.catalog.name)


def _withheld(actor: Actor, seen: SeenView) -> str:
    """Return why the text is not shown; nothing where it may be.

    A name that policies hide may stand anywhere in it, in quotes or in a longer word. One that
    cannot be followed is seen by who may change definitions alone; what it reads is guessed.
    """
    text = "\n".join((seen.view.sql, *seen.view.columns)).lower()
    reads = _maybe_read(seen, text) if seen.problem else seen.reads
    if seen.problem and not _may_browse(actor, seen, reads):
        return NAMES_UNSEEN
    for whole, shown in zip(reads, as_shown_to(actor, seen.catalog, reads), strict=True):
        known = {column.name for column in shown.columns}
        hidden = {column.name.lower() for column in whole.columns if column.name not in known}
        if any(name in text for name in hidden):
            return NAMES_HIDDEN
    return ""
