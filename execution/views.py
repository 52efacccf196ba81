"""The console's query page and its fragments: plan strip, history, saved queries."""

from __future__ import annotations

import shlex
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from accounts.authorization import administer, require
from accounts.domain import Actor
from audit.services import Target
from catalog import overview
from catalog.lake import EVERYTHING, Search
from console import palette
from console.access import actor_of, signed_in, workspace_of
from console.palette import Choice
from execution import elsewhere, isolation, planning, selectors
from execution import services as execution
from execution.domain import Place, RequestedPlace
from problems import NotFound, Problem
from workspaces.models import Workspace

HISTORY = 30
FOUND = 25
NO_DEVICE = "no-approved-device"
PLACES = (
    (RequestedPlace.AUTO.value, "Auto", "sparkles"),
    (RequestedPlace.SERVER.value, "Server", "server"),
    (RequestedPlace.LOCAL.value, "My machine", "laptop"),
)


@require_safe
@signed_in
def query(request: HttpRequest, workspace: str) -> HttpResponseBase:
    """Open the editor: empty, with a saved query, or with a table to look at."""
    place = workspace_of(request, workspace)
    if saved_id := request.GET.get("saved"):
        found = selectors.find_saved_query(actor_of(request), place, _uuid(saved_id))
        return _page(request, place, sql=found.sql, name=found.name, saved=found)
    table = request.GET.get("table", "")
    sql = f"SELECT *\nFROM {table}\nLIMIT 100" if table else request.GET.get("sql", "")
    return _page(request, place, sql=sql)


@require_safe
@signed_in
def permalink(request: HttpRequest, workspace: str, query: UUID) -> HttpResponseBase:
    """Open one query that was run, with its result where that is still kept."""
    place = workspace_of(request, workspace)
    found = selectors.find_query(actor_of(request), place, query)
    return _page(request, place, sql=found.sql, name=f"Query {str(found.id)[:8]}", query=found)


def _page(request: HttpRequest, workspace: Workspace, **more: Any) -> HttpResponseBase:
    tree = overview.tree(actor_of(request), workspace, EVERYTHING)
    context = {
        "workspace": workspace,
        "tree": tree,
        "completion": _completion(tree),
        "is_cut": any(page.following for page in tree),
        "places": PLACES,
        "place": request.GET.get("place", RequestedPlace.AUTO.value),
        "permalink": f"/w/{workspace.slug}/queries/QUERY",
    }
    return render(request, "execution/query.html", context | more)


@require_safe
@signed_in
def tables(request: HttpRequest, workspace: str) -> HttpResponseBase:
    """Answer the tree with the tables that fit what one types, or, as JSON, the completion."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    text = request.GET.get("q", "").strip()
    if request.accepts("text/html"):
        found = overview.tree(actor, place, Search.of(text, in_columns=True), most=FOUND)
        context = {"workspace": place, "tree": found, "text": text}
        return render(request, "execution/query.html#tables", context)
    found = overview.tree(actor, place, Search.of(text), most=FOUND)
    return JsonResponse({"tables": _completion(found)})


def _completion(tree: list[overview.TablesPage]) -> list[dict[str, Any]]:
    return [
        {
            "catalog": page.catalog.name,
            "schema": line.table.schema_name,
            "name": line.table.name,
            "columns": [{"name": c.name, "type": c.duckdb_type} for c in line.table.top_columns],
        }
        for page in tree
        for line in page.lines
    ] + [
        {
            "catalog": page.catalog.name,
            "schema": one.view.schema_name,
            "name": one.view.name,
            "columns": [],
        }
        for page in tree
        for one in page.views
        if not one.problem
    ]


@require_POST
@signed_in
def plan(request: HttpRequest, workspace: str) -> HttpResponseBase:
    """Answer the strip below the editor: the plan, or what stands in its way."""
    place = workspace_of(request, workspace)
    sql, wanted = request.POST.get("sql", ""), request.POST.get("place", "")
    requested = RequestedPlace(wanted) if wanted in list(RequestedPlace) else RequestedPlace.AUTO
    if not sql.strip():
        return render(request, "execution/plan.html")
    try:
        found = planning.plan(
            actor=actor_of(request), workspace=place, sql=sql, requested=requested
        )
    except Problem as problem:
        return render(request, "execution/plan.html", {"problem": problem.as_dict()})
    shown = found.as_dict() | {"times": elsewhere.times_of(found, actor_of(request), place)}
    return render(request, "execution/plan.html", _strip(shown, place))


def _strip(plan: dict[str, Any], workspace: Workspace) -> dict[str, Any]:
    """Return the context of the strip for a plan as the API shows it."""
    refusal = plan["refusal"]
    # A browser has no device key, so it is always refused local. Where that is all that stands
    # in the way, the person's own terminal is not refused: say how to run it there.
    handoff = bool(refusal) and refusal["code"] == NO_DEVICE
    local = handoff or plan["place"] == Place.LOCAL
    total = max(plan["total_bytes"], 1)
    policies = {p["name"] for d in plan["decisions"] for p in d["determined_by"]}
    return {
        "plan": plan,
        "shown_place": Place.LOCAL.value if local else plan["place"] or "none",
        "percent": round(100 * plan["scan_bytes"] / total),
        "policies": policies,
        "handoff": handoff,
        "command": (
            f"upend query -w {workspace.slug} --on local {shlex.quote(plan['sql'].strip())}"
        ),
        "workspace": workspace,
    }


@require_safe
@signed_in
def plan_panel(request: HttpRequest, workspace: str, query: UUID) -> HttpResponseBase:
    """Show the plan that a query was run by."""
    place = workspace_of(request, workspace)
    found = selectors.find_query(actor_of(request), place, query)
    return render(request, "execution/plan_panel.html", {"plan": found.plan, "query": found})


@require_safe
@signed_in
def history(request: HttpRequest, workspace: str) -> HttpResponseBase:
    """List what was run here lately."""
    place = workspace_of(request, workspace)
    queries = selectors.queries_of(actor_of(request), place)[:HISTORY]
    return render(request, "execution/history.html", {"workspace": place, "queries": queries})


@require_safe
@signed_in
def saved(request: HttpRequest, workspace: str) -> HttpResponseBase:
    """List the saved queries of the workspace."""
    place = workspace_of(request, workspace)
    found = selectors.saved_queries_of(actor_of(request), place)
    return render(request, "execution/saved.html", {"workspace": place, "saved": found})


@require_POST
@signed_in
def delete_saved(request: HttpRequest, workspace: str, saved: UUID) -> HttpResponseBase:
    """Delete a saved query."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    found = selectors.find_saved_query(actor, place, saved)
    execution.delete_saved_query(actor=actor, saved=found)
    messages.success(request, f"“{found.name}” is deleted.")
    return redirect("page-saved", place.slug)


@require_safe
@signed_in
def isolation_page(request: HttpRequest) -> HttpResponseBase:
    """Show administrators which layers hold the processes that run and plan tenant SQL."""
    actor = actor_of(request)
    target = Target("isolation", "", "Isolation", actor.organization_id)
    verdict = administer(actor, actor.organization_id, "isolation.read")
    require(verdict, actor=actor, target=target)
    reports = isolation.reports()
    context = {"reports": reports, "is_full": all(one.report.is_full for one in reports)}
    return render(request, "execution/isolation.html", context)


@require_POST
@signed_in
def reset_predictions(request: HttpRequest, device: UUID) -> HttpResponseBase:
    """Forget what runs have taught about a device."""
    actor = actor_of(request)
    found = selectors.find_device(actor, device)
    execution.reset_predictions(actor=actor, device=found)
    messages.success(request, f"What runs had taught about {found.name} is forgotten.")
    return redirect("page-devices")


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFound("There is no such saved query.") from None


@palette.provider
def palette_saved(actor: Actor, workspace: Workspace, text: str) -> list[Choice]:
    """Offer the saved queries whose name holds every word of the text."""
    words = text.lower().split()
    address = reverse("page-query", args=[workspace.slug])
    return [
        Choice(saved.name, "Saved query", "bookmark", f"{address}?saved={saved.id}")
        for saved in selectors.saved_queries_of(actor, workspace)
        if all(word in saved.name.lower() for word in words)
    ]
