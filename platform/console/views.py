"""Pages that belong to no room: the way in, the palette, whether anything is down."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from console import palette
from console.access import actor_of, signed_in
from console.status import status
from workspaces.models import Workspace


@require_safe
@signed_in
def home(request: HttpRequest) -> HttpResponseBase:
    """Go to the workspace one was in last, or say that there is none yet."""
    visible = Workspace.objects.visible_to(actor_of(request))
    last = request.session.get("workspace")
    workspace = visible.filter(slug=last).first() if last else None
    workspace = workspace or visible.first()
    if workspace is None:
        return render(request, "console/no_workspace.html")
    return redirect("page-query", workspace.slug)


@require_safe
@signed_in
def palette_choices(request: HttpRequest) -> HttpResponseBase:
    """Answer the palette with what matches."""
    actor, text = actor_of(request), request.GET.get("q", "").strip()
    slug = request.GET.get("w", "")
    workspace = Workspace.objects.visible_to(actor).filter(slug=slug).first()
    found = palette.choices(actor=actor, workspace=workspace, text=text)
    return render(request, "console/palette.html", {"choices": found, "text": text})


@require_safe
@signed_in
def status_banner(request: HttpRequest) -> HttpResponseBase:
    """Say what is down and what that means; say nothing where all is well."""
    return render(request, "console/status.html", {"status": status()})
