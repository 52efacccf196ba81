"""The console's pages of upkeep: how a catalog or a table stands, what it needs, what was done."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.domain import Actor
from catalog import lake, selectors
from catalog.domain import Table
from catalog.maintenance import overview
from catalog.maintenance import workspace as workspace_health
from catalog.models import Catalog
from catalog.services import maintenance
from console.access import actor_of, signed_in, workspace_of
from console.format import size as human_size
from console.refusals import FORBIDDEN, NOT_FOUND, Attempt, answer
from problems import Problem
from workspaces.models import Workspace

NUMBERS = ("target_file_bytes", "keep_days", "daily_budget_bytes")
UNITS = {"target_file_bytes": 2**20, "daily_budget_bytes": 2**30}


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def health(request: HttpRequest, workspace: str) -> HttpResponseBase:
    """Show how all lakes stand, the tables that need work first; start a run, or look."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    problem = _asked(request, actor, place) if request.method == "POST" else None
    if request.method == "POST" and problem is None:
        return redirect("page-health", workspace)
    found = workspace_health.health(actor, place, sort=request.GET.get("sort") or "need")
    context = {"workspace": place, "health": found}
    return answer(request, "catalog/health.html", context, problem)


def _asked(request: HttpRequest, actor: Actor, place: Workspace) -> Problem | None:
    """Do what a line of the page asks for; return why not, where a person can mend it."""
    with Attempt(elsewhere={FORBIDDEN, NOT_FOUND}) as attempt:
        found = selectors.find_catalog(actor, place, request.POST.get("catalog", ""))
        if request.POST.get("step") == "orphans":
            seen = overview.find_orphans(actor, found)
            size = human_size(seen["orphan_bytes"])
            text = f"{found.name}: {seen['orphans']:,} objects that nothing names, {size}."
            messages.success(request, text)
            return None
        table = None
        if name := request.POST.get("table"):
            newest = lake.latest_snapshot(found).snapshot_id
            schema = request.POST.get("schema", "main")
            table = selectors.find_table(actor, found, newest, schema, name)
        maintenance.start_maintenance(actor=actor, catalog=found, table=table)
        messages.success(request, f"Upkeep of {table.label if table else found.name} has begun.")
    return attempt.problem


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def catalog_maintenance(request: HttpRequest, workspace: str, catalog: str) -> HttpResponseBase:
    """Show the upkeep of a catalog; take a start or a change of its policy."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    found = selectors.find_catalog(actor, place, catalog)
    problem = _changed(request, actor, found, None) if request.method == "POST" else None
    if request.method == "POST" and problem is None:
        return redirect("page-catalog-maintenance", workspace, found.name)
    context = {
        "workspace": place,
        "catalog": found,
        "upkeep": overview.of_catalog(actor, found),
        "runs": overview.history(actor, found),
    }
    return answer(request, "catalog/maintenance.html", context, problem)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def table_maintenance(
    request: HttpRequest, workspace: str, catalog: str, schema: str, table: str
) -> HttpResponseBase:
    """Show the upkeep of a table; take a start, an order by columns, or a change of its policy."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    found = selectors.find_catalog(actor, place, catalog)
    newest = lake.latest_snapshot(found).snapshot_id
    one = selectors.find_table(actor, found, newest, schema, table)
    problem = _changed(request, actor, found, one) if request.method == "POST" else None
    if request.method == "POST" and problem is None:
        return redirect("page-table-maintenance", workspace, found.name, one.schema_name, one.name)
    context = {
        "workspace": place,
        "catalog": found,
        "table": one,
        "upkeep": overview.of_table(actor, found, one),
        "runs": overview.history(actor, found, one.table_uuid),
    }
    return answer(request, "catalog/maintenance.html", context, problem)


@require_safe
@signed_in
def maintenance_run(request: HttpRequest, workspace: str, run: UUID) -> HttpResponseBase:
    """Show where one run stands; the page asks again while it goes on."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    found = overview.find_run(actor, place, run)
    return render(request, "catalog/maintenance.html#run", {"workspace": place, "run": found})


@require_POST
@signed_in
def cancel_maintenance(request: HttpRequest, workspace: str, run: UUID) -> HttpResponseBase:
    """Stop a run."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    found = overview.find_run(actor, place, run)
    stopped = maintenance.cancel_maintenance(actor=actor, run=found)
    return render(request, "catalog/maintenance.html#run", {"workspace": place, "run": stopped})


def _changed(
    request: HttpRequest, actor: Actor, catalog: Catalog, table: Table | None
) -> Problem | None:
    """Carry out what the form asks for; return why not, where a person can mend it."""
    with Attempt(elsewhere={FORBIDDEN}) as attempt:
        if request.POST.get("step") == "policy":
            changes = _policy(request, of_table=table is not None)
            maintenance.change_policy(actor=actor, catalog=catalog, table=table, changes=changes)
            messages.success(request, "Kept.")
        else:
            keys = tuple(request.POST.getlist("sort_key"))
            maintenance.start_maintenance(actor=actor, catalog=catalog, table=table, sort_keys=keys)
            messages.success(request, "It has begun.")
    return attempt.problem


def _policy(request: HttpRequest, *, of_table: bool) -> dict[str, Any]:
    """Return the form's policy: what is left empty is inherited."""
    given = request.POST
    enabled = {"yes": True, "no": False}.get(given.get("enabled", ""))
    changes: dict[str, Any] = {"enabled": enabled}
    for name in NUMBERS[:1] if of_table else NUMBERS:
        text = given.get(name, "").strip()
        changes[name] = int(text) * UNITS.get(name, 1) if text.isdecimal() else None
    if not of_table:
        changes["quiet_hours"] = given.get("quiet_hours", "").strip() or None
        tagged = {"yes": True, "no": False}
        changes["keep_tagged"] = tagged.get(given.get("keep_tagged", ""))
    return changes
