"""The console's page of a workspace's settings."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from console.access import actor_of, signed_in, workspace_of
from workspaces import services as workspaces
from workspaces.limits import LIMITS
from workspaces.models import Workspace


class LimitsForm(forms.Form):
    """The limits of a workspace, with what each may be."""

    def __init__(self, workspace: Workspace, data: object = None, *, locked: bool = False) -> None:
        self.is_locked = locked
        super().__init__(data)  # type: ignore[arg-type]  # a QueryDict or nothing
        for limit in LIMITS:
            self.fields[limit.name] = forms.IntegerField(
                label=limit.label,
                help_text=f"{limit.help} From {limit.least:,} to {limit.most:,}.",
                min_value=limit.least,
                max_value=limit.most,
                initial=getattr(workspace, limit.name),
                disabled=locked,
            )


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def settings(request: HttpRequest, workspace: str) -> HttpResponseBase:
    """Show the workspace's limits; take new ones from who may set them."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    verdict = workspaces.manage_limits(actor, place)
    if request.method != "POST":
        return _page(request, place, LimitsForm(place, locked=not verdict.allowed), verdict.reason)
    form = LimitsForm(place, request.POST)
    if verdict.allowed and not form.is_valid():
        return _page(request, place, form, verdict.reason)
    wanted = form.cleaned_data if verdict.allowed else {}
    workspaces.change_limits(actor=actor, workspace=place, limits=wanted)
    messages.success(request, "The limits are set; they hold from the next query on.")
    return redirect("page-settings", place.slug)


def _page(
    request: HttpRequest, workspace: Workspace, form: LimitsForm, reason: str
) -> HttpResponseBase:
    context = {"workspace": workspace, "form": form, "reason": reason}
    return render(request, "workspaces/settings.html", context)
