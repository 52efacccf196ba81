"""The console's way of bringing a dropped table back."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from catalog import selectors
from catalog.services import dropped
from console.access import actor_of, signed_in, workspace_of


@require_POST
@signed_in
def restore_table(
    request: HttpRequest, workspace: str, catalog: str, table: UUID
) -> HttpResponseBase:
    """Have the catalog's writer bring a dropped table back."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    found = selectors.find_catalog(actor, place, catalog)
    dropped.restore_table(actor=actor, catalog=found, table_uuid=table)
    messages.success(request, "The table comes back in a moment, as it was when it was dropped.")
    return redirect("page-catalog-settings", workspace, found.name)
