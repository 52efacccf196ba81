"""The console's pages of what exists: catalogs, their tables, one table."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from accounts.domain import Actor
from catalog import lake, overview, selectors, services
from console import palette
from console.access import actor_of, signed_in, workspace_of
from console.palette import Choice
from governance import securables
from governance.domain import Action
from governance.selectors import decide
from workspaces.models import Workspace


@require_safe
@signed_in
def catalogs(request: HttpRequest, workspace: str) -> HttpResponseBase:
    """List the catalogs one may browse."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    context = {
        "workspace": place,
        "catalogs": overview.catalog_lines(actor, place),
        "may_create": decide(actor, Action.CATALOG_CREATE, securables.workspace(place)).allowed,
    }
    return render(request, "catalog/index.html", context)


@require_POST
@signed_in
def create_catalog(request: HttpRequest, workspace: str) -> HttpResponseBase:
    """Create a catalog; its lake is made by a writer in a moment."""
    created = services.create_catalog(
        actor=actor_of(request),
        workspace=workspace_of(request, workspace),
        name=request.POST.get("name", "").strip(),
        description=request.POST.get("description", "").strip(),
    )
    messages.success(request, f"{created.name} is being made. Upload a file when it is ready.")
    return redirect("page-catalog", workspace, created.name)


@require_safe
@signed_in
def catalog(request: HttpRequest, workspace: str, catalog: str) -> HttpResponseBase:
    """Show one catalog: its tables and its history."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    found = selectors.find_catalog(actor, place, catalog)
    line = overview.catalog_line(actor, found)
    context = {
        "workspace": place,
        "catalog": found,
        "line": line,
        "snapshots": lake.snapshots(found, limit=overview.SNAPSHOTS_SHOWN)
        if line.snapshot_id is not None
        else (),
        "jobs": found.jobs.order_by("-created_at")[:5],
        "may_upload": decide(actor, Action.TABLE_CREATE, found.securable).allowed,
        **_upload_addresses(place, found.name),
    }
    return render(request, "catalog/catalog.html", context)


@require_safe
@signed_in
def table(
    request: HttpRequest, workspace: str, catalog: str, schema: str, table: str
) -> HttpResponseBase:
    """Show one table: what it holds, who may do what with it, and its history."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    found = selectors.find_catalog(actor, place, catalog)
    page = overview.table_page(actor, found, schema, table)
    context = {"workspace": place, "catalog": found, "page": page, "table": page.line.table}
    addresses = _upload_addresses(place, found.name)
    return render(request, "catalog/table.html", context | addresses)


def _upload_addresses(workspace: Workspace, catalog: str) -> dict[str, str]:
    api = f"/api/v1/workspaces/{workspace.slug}"
    done = reverse("page-table", args=[workspace.slug, catalog, "SCHEMA", "TABLE"])
    return {
        "upload_api": f"{api}/catalogs/{catalog}/uploads",
        "job_api": f"{api}/jobs/JOB",
        "done_page": done,
    }


@palette.provider
def palette_tables(actor: Actor, workspace: Workspace, text: str) -> list[Choice]:
    """Offer the tables whose name holds every word of the text."""
    words = text.lower().split()
    return [
        Choice(
            line.table.label,
            "Table",
            "table-2",
            reverse(
                "page-table",
                args=[
                    workspace.slug,
                    found.catalog.name,
                    line.table.schema_name,
                    line.table.name,
                ],
            ),
        )
        for found in (overview.catalog_lines(actor, workspace) if words else ())
        for line in found.tables
        if all(word in line.table.label.lower() for word in words)
    ]
