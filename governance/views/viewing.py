"""What of every table somebody else sees, and what their machine would get: looked at, recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.domain import Actor
from console.access import actor_of, signed_in, workspace_of
from governance import inventory, securables
from governance.comparison import BEST_DEVICE, LOCAL, SERVER
from governance.domain import Action, Decision, Request, Securable
from governance.materialization import ASKED, Materialization, outcome, requests
from governance.scopes import known_keys
from governance.selectors import decide_many
from governance.services.authorization import authorize
from governance.services.viewing import UnknownPrincipal, view_as
from workspaces.models import Workspace
from workspaces.selectors import principals_of

MOST = 200
OUTCOMES = {
    "raw": ("its files", "good"),
    "extract": ("an extract", "accent"),
    "server": ("nothing", "bad"),
}


@dataclass(frozen=True, slots=True)
class Sight:
    """What somebody sees of one table."""

    table: Securable
    query: Decision
    machine: Materialization

    @property
    def names(self) -> list[str]:
        """Return the names of the catalog, the schema and the table."""
        return self.table.label.split(".", 2)

    @property
    def masked(self) -> list[tuple[str, str]]:
        """Return the masked columns, each with the policy that masks it."""
        return [(mask.column, mask.policy) for mask in self.query.obligations.masks]

    @property
    def hidden(self) -> list[str]:
        """Return the columns that do not exist for them."""
        return sorted(self.query.obligations.hidden_columns)

    @property
    def filters(self) -> list[str]:
        """Return the policies that leave rows out."""
        return [one.policy for one in self.query.obligations.row_filters]

    @property
    def is_whole(self) -> bool:
        """Tell whether they see all of it as it is."""
        return self.query.allowed and self.query.obligations.is_empty

    @property
    def on_machine(self) -> tuple[str, str]:
        """Return what their machine gets, and the class of the badge."""
        return OUTCOMES[self.machine.outcome.value]


@require_safe
@signed_in
def view_as_page(request: HttpRequest, workspace: str) -> HttpResponseBase:
    """Show every table as one principal sees it; the ledger keeps that it was looked at."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    authorize(actor, Action.POLICY_VIEW_AS, securables.workspace(place))
    wanted = request.GET.get("principal", "").strip()
    context: dict[str, Any] = {
        "workspace": place,
        "people": principals_of(place),
        "wanted": wanted,
        "q": request.GET.get("q", ""),
    }
    if wanted:
        try:
            other = view_as(
                actor=actor,
                workspace=place,
                principal=wanted,
                looked_at="every table",
            )
        except UnknownPrincipal as problem:
            context["problem"] = problem.as_dict()
        else:
            context |= {"other": other, "sights": _sights(actor, other, place, context["q"])}
    return render(request, "governance/view_as.html", context)


def _sights(actor: Actor, other: Actor, workspace: Workspace, text: str) -> list[Sight]:
    words = text.lower().split()
    every = inventory.tables(workspace, securables.workspace(workspace))
    named = [one for one in every if all(word in one.label.lower() for word in words)]
    known = known_keys(actor, named)
    tables = sorted((one for one in named if one.key in known), key=lambda one: one.label)[:MOST]
    return list(_seen(other, tables))


def _seen(other: Actor, tables: Sequence[Securable]) -> list[Sight]:
    """Ask for all tables in two batches: on the server, and from a machine that is approved."""
    server = decide_many(other, [Request(Action.TABLE_QUERY, one) for one in tables], SERVER)
    holder = replace(other, device=BEST_DEVICE) if other.is_person else other
    asked = [request for one in tables for request in requests(one, LOCAL)]
    local = decide_many(holder, asked, LOCAL)
    each = [local[at : at + len(ASKED)] for at in range(0, len(local), len(ASKED))]
    return [
        Sight(table, query, outcome(*decisions))
        for table, query, decisions in zip(tables, server, each, strict=True)
    ]
