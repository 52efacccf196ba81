"""Everybody who may act in a workspace, and what each may do with one table, and why."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_safe

from console.access import actor_of, signed_in, workspace_of
from console.refusals import Attempt, answer
from governance.comparison import BEST_DEVICE, LOCAL, SERVER
from governance.domain import Action, Decision, Request, Securable
from governance.materialization import outcome, requests
from governance.selectors import decide_many
from governance.services.viewing import who_may
from governance.views.viewing import Sight
from workspaces.selectors import Principal

PAGE_SIZE = 50
WRITING = (
    (Action.TABLE_APPEND, "append"),
    (Action.TABLE_MODIFY, "change rows"),
    (Action.TABLE_ALTER, "change its definition"),
    (Action.TABLE_MAINTAIN, "maintain"),
    (Action.POLICY_PUBLISH, "publish policies"),
)


@dataclass(frozen=True, slots=True)
class Holder:
    """One principal, what they see of the table, and what else they may do with it."""

    principal: Principal
    sight: Sight
    others: tuple[tuple[str, Decision], ...]


@require_safe
@signed_in
def holders(request: HttpRequest, workspace: str) -> HttpResponseBase:
    """Show who may do what with one table; the ledger keeps that it was looked at."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    table, wanted = request.GET.get("on", "").strip(), request.GET.get("q", "").strip()
    context: dict[str, Any] = {"workspace": place, "on": table, "q": wanted}
    with Attempt() as attempt:
        securable, people = who_may(actor=actor, workspace=place, table=table)
    if attempt.problem:
        return answer(request, "governance/holders.html", context, attempt.problem)
    words = wanted.lower().split()
    found = [p for p in people if all(w in f"{p.name} {p.actor.label}".lower() for w in words)]
    page = Paginator(found, PAGE_SIZE).get_page(request.GET.get("page"))
    context |= {"table": securable, "page": page}
    context["holders"] = [_holder(one, securable) for one in page.object_list]
    return render(request, "governance/holders.html", context)


def _holder(one: Principal, table: Securable) -> Holder:
    asked = [Request(action, table) for action in (Action.TABLE_QUERY, *(a for a, _ in WRITING))]
    query, *others = decide_many(one.actor, asked, SERVER)
    at_best = replace(one.actor, device=BEST_DEVICE) if one.actor.is_person else one.actor
    machine = outcome(*decide_many(at_best, requests(table, LOCAL), LOCAL))
    named = zip((word for _, word in WRITING), others, strict=True)
    return Holder(
        one, Sight(table, query, machine), tuple((word, d) for word, d in named if d.allowed)
    )
