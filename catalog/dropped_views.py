"""The console's way of bringing a dropped table back: what would come back, then the return."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from catalog import selectors
from catalog.confirming import Asked, confirmed
from catalog.services import dropped
from console.access import actor_of, signed_in, workspace_of


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def restore_table(
    request: HttpRequest, workspace: str, catalog: str, table: UUID
) -> HttpResponseBase:
    """Say what would come back of a dropped table, and have the catalog's writer bring it back."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    found = selectors.find_catalog(actor, place, catalog)
    asked = Asked(
        catalog=found,
        title="Bring a dropped table back",
        verb="Bring it back",
        told="The table comes back in a moment, as it was when it was dropped.",
        back=reverse("page-catalog-settings", args=[workspace, found.name]),
        says="It becomes a new snapshot; those between still have no such table.",
    )
    return confirmed(
        request,
        asked,
        lambda: dropped.preview_restore(actor=actor, catalog=found, table_uuid=table),
        lambda: dropped.restore_table(actor=actor, catalog=found, table_uuid=table),
    )
