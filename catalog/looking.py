"""Looking at a table's page as somebody else: whom one may choose, and who was chosen."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest

from accounts.domain import Actor
from catalog import lake, selectors
from catalog.models import Catalog
from governance import securables
from governance import services as governance
from governance.domain import Action
from governance.services.viewing import UnknownPrincipal, view_as
from problems import Problem
from workspaces.models import Workspace
from workspaces.selectors import Principal, principals_of


@dataclass(frozen=True, slots=True)
class Look:
    """Who may be chosen, and who is looked as; nobody yet, or nobody of that name."""

    people: tuple[Principal, ...]
    wanted: str = ""
    other: Actor | None = None
    problem: Problem | None = None


def look(
    request: HttpRequest,
    actor: Actor,
    workspace: Workspace,
    catalog: Catalog,
    table: tuple[str, str],
) -> Look | None:
    """Return how a table's page is looked at where its address has `as`; the ledger keeps it.

    Raises `AccessDenied` for who may not look as others, `UnknownTable` where they themselves see
    no such table.
    """
    if request.method != "GET" or "as" not in request.GET:
        return None
    governance.authorize(actor, Action.POLICY_VIEW_AS, securables.workspace(workspace))
    people, wanted = tuple(principals_of(workspace)), request.GET["as"].strip()
    if not wanted:
        return Look(people)
    newest = lake.latest_snapshot(catalog).snapshot_id
    found = selectors.find_table(actor, catalog, newest, *table)
    try:
        other = view_as(
            actor=actor,
            workspace=workspace,
            principal=wanted,
            looked_at=f"the page of {found.label}",
        )
    except UnknownPrincipal as problem:
        return Look(people, wanted, problem=problem)
    return Look(people, wanted, other)
