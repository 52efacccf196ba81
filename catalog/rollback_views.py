"""The console's way of taking a whole catalog back to a snapshot: looked at first, then done."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from accounts.domain import Actor
from catalog import lake, selectors
from catalog.models import Catalog
from catalog.overview import SNAPSHOTS_SHOWN
from catalog.services import catalog_rollback as services
from catalog.tables.history import moments
from catalog.writable import is_writable
from console.access import actor_of, signed_in, workspace_of
from console.refusals import Attempt, answer
from governance.domain import Action
from governance.selectors import decide
from problems import Invalid

MOST_DIGITS = 18


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def roll_back_catalog(request: HttpRequest, workspace: str, catalog: str) -> HttpResponseBase:
    """Show what taking a catalog back to `snapshot` would do; with a POST, have it done."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    found = selectors.find_catalog(actor, place, catalog)
    said = request.POST if request.method == "POST" else request.GET
    text = said.get("snapshot", "").strip()
    shown = None
    with Attempt() as attempt:
        if request.method == "POST":
            services.roll_back_catalog(
                actor=actor,
                catalog=found,
                snapshot_id=_number(text),
                message=said.get("message", "").strip()[:500],
            )
            messages.success(request, f"{found.name} goes back to snapshot {text} in a moment.")
            return redirect("page-catalog", workspace, found.name)
        shown = _shown(actor, found, _number(text)) if text else None
    context = _context(actor, found) | {
        "workspace": place,
        "catalog": found,
        "text": text,
        "message": said.get("message", ""),
        "shown": shown,
    }
    return answer(request, "catalog/rollback.html", context, attempt.problem)


def _context(actor: Actor, catalog: Catalog) -> dict[str, Any]:
    is_ready = catalog.metadata_schema in lake.ready([catalog.metadata_schema])
    changes = lake.snapshots(catalog, limit=SNAPSHOTS_SHOWN + 1)[1:] if is_ready else []
    return {
        "snapshots": moments(actor, catalog, changes),
        "decision": decide(actor, Action.TABLE_ALTER, catalog.securable),
        "is_writable": is_writable(catalog),
    }


def _shown(actor: Actor, catalog: Catalog, snapshot_id: int) -> dict[str, Any]:
    found = services.preview_catalog_rollback(
        actor=actor, catalog=catalog, snapshot_id=snapshot_id
    ).as_dict()
    return found | {"snapshot_id": snapshot_id}


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS):
        raise Invalid(
            "That is not the number of a snapshot.", hint="Write a whole number, such as 41."
        )
    return int(text)
