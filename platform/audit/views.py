"""The console's page of what happened: filters in the address, newest first, one at the side."""

from __future__ import annotations

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.utils.http import urlencode
from django.views.decorators.http import require_safe

from accounts.domain import Actor
from audit.domain import Event
from audit.models import AuditRecord
from console.access import actor_of, signed_in, workspace_of
from workspaces.models import Workspace

PAGE = 50
NOUNS = sorted({event.value.partition(".")[0] for event in Event})
FILTERS = ("noun", "event", "actor", "target")


@require_safe
@signed_in
def events(request: HttpRequest, workspace: str) -> HttpResponseBase:
    """List the events one may read, filtered as the address says."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    chosen = {name: request.GET[name] for name in FILTERS if request.GET.get(name)}
    readable = _readable(actor, place)
    rows = list(_page(_filtered(readable, chosen), request.GET.get("before", "")))
    shown = request.GET.get("show", "")
    context = {
        "rows": rows[:PAGE],
        "chosen": [(name, value, _without(chosen, name)) for name, value in chosen.items()],
        "nouns": [(noun, urlencode({**chosen, "noun": noun})) for noun in NOUNS],
        "query": urlencode(chosen),
        "older": rows[PAGE - 1].id if len(rows) > PAGE else None,
        "is_first_page": "before" not in request.GET,
        "detail": readable.filter(id=shown).first() if shown.isdigit() else None,
    }
    return render(request, "audit/events.html", context)


def _readable(actor: Actor, workspace: Workspace) -> QuerySet[AuditRecord]:
    """Return the events of the workspace, and those of the organization that name none."""
    mine = AuditRecord.objects.visible_to(actor)
    return mine.filter(workspace_id=workspace.id) | mine.filter(workspace_id__isnull=True)


def _filtered(rows: QuerySet[AuditRecord], chosen: dict[str, str]) -> QuerySet[AuditRecord]:
    for name, value in chosen.items():
        match name:
            case "noun":
                rows = rows.filter(event__startswith=f"{value}.")
            case "event":
                rows = rows.filter(event=value)
            case "actor":
                rows = rows.filter(actor_label=value)
            case _:
                rows = rows.filter(target_label__icontains=value)
    return rows


def _page(rows: QuerySet[AuditRecord], before: str) -> QuerySet[AuditRecord]:
    if before.isdigit():
        rows = rows.filter(id__lt=int(before))
    return rows.order_by("-id")[: PAGE + 1]


def _without(chosen: dict[str, str], name: str) -> str:
    return urlencode({key: value for key, value in chosen.items() if key != name})
