"""The console's pages of what exists: catalogs, their tables, one table."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from accounts.domain import Actor
from catalog import lake, overview, selectors, services
from catalog.api.naming import named_column, named_table
from catalog.lake import Search
from catalog.looking import look
from catalog.models import Catalog
from catalog.table_page import NotSeen, TablePage, table_page
from catalog.tables.history import moments
from catalog.writable import is_writable
from console import palette
from console.access import actor_of, signed_in, workspace_of
from console.palette import Choice
from console.refusals import answer
from governance import securables
from governance import services as governance
from governance.domain import Action, Request
from governance.selectors import decide, decide_many
from problems import Invalid, Problem
from workspaces.models import Workspace

OFFERED = (Action.TABLE_CREATE, Action.TABLE_ALTER, Action.TABLE_MAINTAIN, Action.CATALOG_MANAGE)
"""What the page of a catalog has buttons for."""


@require_safe
@signed_in
def catalogs(request: HttpRequest, workspace: str) -> HttpResponseBase:
    """List the catalogs one may browse."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    with_archived = "archived" in request.GET
    may_create = decide(actor, Action.CATALOG_CREATE, securables.workspace(place)).allowed
    context = {
        "workspace": place,
        "buckets": selectors.buckets_for_catalogs(actor, place) if may_create else (),
        "catalogs": overview.catalog_lines(actor, place, with_archived=with_archived),
        "with_archived": with_archived,
        "dropped": selectors.dropped_catalogs(actor, place),
        "may_create": may_create,
    }
    return render(request, "catalog/index.html", context)


@require_POST
@signed_in
def create_catalog(request: HttpRequest, workspace: str) -> HttpResponseBase:
    """Create a catalog; its lake is made by a writer in a moment."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    named = request.POST.get("bucket", "")
    created = services.create_catalog(
        actor=actor,
        workspace=place,
        bucket=selectors.find_bucket(actor, place, named) if named else None,
        is_encrypted="is_encrypted" in request.POST,
        name=request.POST.get("name", "").strip(),
        description=request.POST.get("description", "").strip(),
    )
    messages.success(request, f"{created.name} is being made. Upload a file when it is ready.")
    return redirect("page-catalog", workspace, created.name)


@require_safe
@signed_in
def catalog(request: HttpRequest, workspace: str, catalog: str) -> HttpResponseBase:
    """Show one catalog: a page of its tables, those that fit what one types, and its history."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    found = selectors.find_catalog(actor, place, catalog)
    text, cursor = request.GET.get("q", "").strip(), request.GET.get("after", "")
    listed = {
        "workspace": place,
        "catalog": found,
        "text": text,
        "is_first_page": not cursor,
        "page": overview.tables_page(actor, found, Search.of(text), cursor=cursor),
    }
    if request.headers.get("HX-Target") == "tables":
        return render(request, "catalog/catalog.html#tables", listed)
    line, allowed = overview.catalog_line(actor, found), _allowed(actor, found)
    context = listed | {
        "line": line,
        "snapshots": moments(actor, found, lake.snapshots(found, limit=overview.SNAPSHOTS_SHOWN))
        if line.snapshot_id is not None
        else (),
        "jobs": found.jobs.order_by("-created_at")[:5],
        "may_upload": is_writable(found) and Action.TABLE_CREATE in allowed,
        "may_alter": is_writable(found) and Action.TABLE_ALTER in allowed,
        "may_maintain": line.snapshot_id is not None and Action.TABLE_MAINTAIN in allowed,
        "may_manage": Action.CATALOG_MANAGE in allowed,
        **_upload_addresses(place, found.name),
    }
    return render(request, "catalog/catalog.html", context)


def _allowed(actor: Actor, catalog: Catalog) -> set[Action]:
    """Return what of all that the page offers the actor may do, asked at once."""
    decisions = decide_many(actor, [Request(action, catalog.securable) for action in OFFERED])
    return {action for action, found in zip(OFFERED, decisions, strict=True) if found.allowed}


@require_safe
@signed_in
def table(
    request: HttpRequest, workspace: str, catalog: str, schema: str, table: str
) -> HttpResponseBase:
    """Show one table: what it holds, what one may do with it and why, and its history."""
    return _table(request, (workspace, catalog, schema, table))


@require_POST
@signed_in
def describe_table(
    request: HttpRequest, workspace: str, catalog: str, schema: str, table: str
) -> HttpResponseBase:
    """Take what is said of the table, or of the column whose field id the form has."""
    actor = actor_of(request)
    securable = named_table(actor, workspace, catalog, schema, table)
    if field_id := request.POST.get("column", ""):
        securable = named_column(securable, field_id)
    try:
        governance.describe(
            actor=actor,
            securable=securable,
            description=request.POST.get("description", ""),
            classification=request.POST.get("classification", ""),
            tags=request.POST.get("tags", "").replace(",", " ").split(),
        )
    except Invalid as problem:
        return _table(request, (workspace, catalog, schema, table), problem)
    messages.success(request, f"What is said of {securable.label} is kept.")
    return redirect("page-table", workspace, catalog, schema, table)


def _table(
    request: HttpRequest, names: tuple[str, str, str, str], problem: Problem | None = None
) -> HttpResponseBase:
    workspace, catalog, schema, table = names
    actor, place = actor_of(request), workspace_of(request, workspace)
    found = selectors.find_catalog(actor, place, catalog)
    looked = look(request, actor, place, found, (schema, table))
    context: dict[str, Any] = {
        "workspace": place,
        "catalog": found,
        "look": looked,
        "may_view_as": decide(actor, Action.POLICY_VIEW_AS, securables.workspace(place)).allowed,
        "problem": problem,
    }
    try:
        if looked and looked.other:
            page = table_page(looked.other, found, schema, table, onlooker=actor)
        else:
            page = table_page(actor, found, schema, table)
    except NotSeen as unseen:
        return render(request, "catalog/not_seen.html", context | {"unseen": unseen.as_dict()})
    context |= {
        "page": page,
        "table": page.line.table,
        "chosen": page.column(request.GET.get("column", "")) if page.may_describe else None,
        "describes": page.may_describe and "describe" in request.GET,
    }
    addresses = _upload_addresses(place, found.name) | _table_addresses(place, page)
    return answer(request, "catalog/table.html", context | addresses, problem)


def _table_addresses(workspace: Workspace, page: TablePage) -> dict[str, str]:
    api, table = f"/api/v1/workspaces/{workspace.slug}", page.line.table
    names = (table.catalog_name, table.schema_name, table.name)
    catalog, schema, name = (quote(part, safe="") for part in names)
    return {
        "table_api": f"{api}/catalogs/{catalog}/tables/{schema}/{name}",
        "query_api": f"{api}/queries/QUERY",
        "changes_api": f"{api}/catalogs/{catalog}/changed-rows/JOB",
    }


def _upload_addresses(workspace: Workspace, catalog: str) -> dict[str, str]:
    api = f"/api/v1/workspaces/{workspace.slug}"
    done = reverse("page-table", args=[workspace.slug, catalog, "SCHEMA", "TABLE"])
    return {
        "upload_api": f"{api}/catalogs/{catalog}/transfers",
        "job_api": f"{api}/jobs/JOB",
        "done_page": done,
    }


@palette.provider
def palette_tables(actor: Actor, workspace: Workspace, text: str) -> list[Choice]:
    """Offer the tables whose name holds every word of the text."""
    found = overview.tables_named(actor, workspace, text, palette.MOST) if text.strip() else []
    views = overview.views_named(actor, workspace, text, palette.MOST) if text.strip() else []
    return [
        Choice(
            table.label,
            "Table",
            "table-2",
            reverse(
                "page-table",
                args=[workspace.slug, table.catalog_name, table.schema_name, table.name],
            ),
        )
        for table in found
    ] + [
        Choice(
            one.label,
            "View",
            "braces",
            reverse(
                "page-view",
                args=[workspace.slug, one.catalog.name, one.view.schema_name, one.view.name],
            ),
        )
        for one in views
    ]
