"""What is shown of one view: its columns, its text where that names nothing hidden, its tables."""

from __future__ import annotations

from dataclasses import dataclass

from accounts.domain import Actor
from catalog.lake.views import CATALOG
from catalog.models import Catalog
from catalog.selectors import as_shown_to
from catalog.services.stored_views import find_view
from catalog.stored_views.seen import SeenView
from catalog.stored_views.texts import ViewColumns, registered
from governance.domain import Action
from governance.selectors import decide

NAMES_HIDDEN = "Its text names columns that policies hide from you."
NOT_FOLLOWED = "Its text cannot be followed, so nobody can say what it tells of."


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


def shown_text(seen: SeenView) -> str:
    """Return a view's text as people write it: with the catalog's name."""
    return seen.view.sql.replace(CATALOG, seen.catalog.name)


def _withheld(actor: Actor, seen: SeenView) -> str:
    """Return why the text is not shown; nothing where it may be.

    A name that policies hide may stand anywhere in it, in quotes or in a longer word.
    """
    if seen.problem:
        return NOT_FOLLOWED
    text = "\n".join((seen.view.sql, *seen.view.columns)).lower()
    for whole, shown in zip(seen.reads, as_shown_to(actor, seen.catalog, seen.reads), strict=True):
        known = {column.name for column in shown.columns}
        hidden = {column.name.lower() for column in whole.columns if column.name not in known}
        if any(name in text for name in hidden):
            return NAMES_HIDDEN
    return ""
