"""The console's query page and its fragments: plan strip, history, saved queries."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from accounts.domain import Actor
from catalog import overview
from console import palette
from console.access import actor_of, signed_in, workspace_of
from console.palette import Choice
from execution.domain import RequestedPlace
from execution.models import Query, SavedQuery
from problems import NotFound
from workspaces.models import Workspace

HISTORY = 30
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
        saved = SavedQuery.objects.filter(workspace=place).filter(id=_uuid(saved_id))
        found = saved.first()
        if found is None:
            raise NotFound("There is no such saved query; it may have been deleted.")
        return _page(request, place, sql=found.sql, name=found.name, saved=found)
    table = request.GET.get("table", "")
    sql = f"SELECT *\nFROM {table}\nLIMIT 100" if table else request.GET.get("sql", "")
    return _page(request, place, sql=sql)


@require_safe
@signed_in
def permalink(request: HttpRequest, workspace: str, query: UUID) -> HttpResponseBase:
    """Open one query that was run, with its result where that is still kept."""
    place = workspace_of(request, workspace)
    visible = Query.objects.visible_to(actor_of(request)).filter(workspace=place)
    found = visible.filter(id=query).first()
    if found is None:
        raise NotFound("There is no such query, or you may not see it.")
    return _page(request, place, sql=found.sql, name=f"Query {str(found.id)[:8]}", query=found)


def _page(request: HttpRequest, workspace: Workspace, **more: Any) -> HttpResponseBase:
    lines = overview.catalog_lines(actor_of(request), workspace, with_columns=True)
    context = {
        "workspace": workspace,
        "tree": lines,
        "completion": _completion(lines),
        "places": PLACES,
        "place": request.GET.get("place", RequestedPlace.AUTO.value),
        "permalink": f"/w/{workspace.slug}/queries/QUERY",
    }
    return render(request, "execution/query.html", context | more)


def _completion(lines: list[overview.CatalogLine]) -> list[dict[str, Any]]:
    return [
        {
            "catalog": line.catalog.name,
            "schema": table.table.schema_name,
            "name": table.table.name,
            "columns": [{"name": c.name, "type": c.duckdb_type} for c in table.table.top_columns],
        }
        for line in lines
        for table in line.tables
    ]


@require_safe
@signed_in
def history(request: HttpRequest, workspace: str) -> HttpResponseBase:
    """List what was run here lately."""
    place = workspace_of(request, workspace)
    queries = Query.objects.visible_to(actor_of(request)).filter(workspace=place)[:HISTORY]
    return render(request, "execution/history.html", {"workspace": place, "queries": queries})


@require_safe
@signed_in
def saved(request: HttpRequest, workspace: str) -> HttpResponseBase:
    """List the saved queries of the workspace."""
    place = workspace_of(request, workspace)
    found = SavedQuery.objects.filter(workspace=place)
    return render(request, "execution/saved.html", {"workspace": place, "saved": found})


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
        for saved in SavedQuery.objects.filter(
            workspace__in=Workspace.objects.visible_to(actor), workspace=workspace
        )
        if all(word in saved.name.lower() for word in words)
    ]
