"""The console's page of one view."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_safe

from catalog import selectors
from catalog.stored_views.page import view_page
from console.access import actor_of, signed_in, workspace_of


@require_safe
@signed_in
def view(
    request: HttpRequest, workspace: str, catalog: str, schema: str, view: str
) -> HttpResponseBase:
    """Show one view: its columns, its text, what it reads and who may see it."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    found = selectors.find_catalog(actor, place, catalog)
    page = view_page(actor, found, schema, view)
    context = {"workspace": place, "catalog": found, "page": page, "view": page.seen.view}
    return render(request, "catalog/view.html", context)
