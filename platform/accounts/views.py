"""The console's pages about who acts: devices to approve, tokens to create."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts import services as accounts
from accounts.domain import DeviceStatus, OrganizationRole, Scope
from accounts.models import ApiToken, Device, User
from console.access import actor_of, signed_in
from problems import NotFound

LIFETIMES = [(7, "7 days"), (30, "30 days"), (90, "90 days"), (365, "1 year")]
SCOPE_TEXTS = {
    Scope.ADMIN: "Administer people, devices and settings",
    Scope.AUDIT_READ: "Read events",
    Scope.CATALOG_READ: "Read catalogs",
    Scope.CATALOG_WRITE: "Create catalogs and upload",
    Scope.DEVICE_ENROLL: "Enroll a device",
    Scope.QUERY_RUN: "Plan and run queries",
}


class TokenForm(forms.Form):
    """What a person says when asking for a token."""

    name = forms.CharField(
        max_length=120,
        help_text="What will use it.",
        widget=forms.TextInput({"autofocus": True}),
    )
    scopes = forms.MultipleChoiceField(
        choices=[(scope.value, text) for scope, text in SCOPE_TEXTS.items()],
        widget=forms.CheckboxSelectMultiple,
        initial=[Scope.QUERY_RUN.value, Scope.CATALOG_READ.value],
        label="It may",
    )
    days = forms.TypedChoiceField(choices=LIFETIMES, coerce=int, initial=90, label="Expires after")


@require_safe
@signed_in
def devices(request: HttpRequest) -> HttpResponseBase:
    """List the devices one may see; what waits for approval comes first."""
    actor = actor_of(request)
    visible = list(Device.objects.visible_to(actor).select_related("user", "decided_by"))
    return render(
        request,
        "accounts/devices.html",
        {
            "pending": [d for d in visible if d.status == DeviceStatus.PENDING],
            "decided": [d for d in visible if d.status != DeviceStatus.PENDING],
            "may_decide": actor.organization_role is OrganizationRole.ADMIN,
            "public_url": settings.PUBLIC_URL,
        },
    )


def _device(request: HttpRequest, device: UUID) -> Device:
    visible = Device.objects.visible_to(actor_of(request)).select_related("user")
    found = visible.filter(id=device).first()
    if found is None:
        raise NotFound("There is no such device, or you may not see it.")
    return found


@require_POST
@signed_in
def approve_device(request: HttpRequest, device: UUID) -> HttpResponseBase:
    """Let a device run queries."""
    approved = accounts.approve_device(actor=actor_of(request), device=_device(request, device))
    messages.success(request, f"{approved.name} may now run queries.")
    return redirect("page-devices")


@require_POST
@signed_in
def revoke_device(request: HttpRequest, device: UUID) -> HttpResponseBase:
    """End a device for good."""
    revoked = accounts.revoke_device(actor=actor_of(request), device=_device(request, device))
    messages.success(request, f"{revoked.name} is revoked. What it holds a grant for ends with it.")
    return redirect("page-devices")


@require_POST
@signed_in
def state_device(request: HttpRequest, device: UUID) -> HttpResponseBase:
    """Take an administrator's word for whether a device is managed, or its disk encrypted."""
    said = {
        name: request.POST[name] == "yes"
        for name in ("is_managed", "is_disk_encrypted")
        if name in request.POST
    }
    stated = accounts.state_device(actor=actor_of(request), device=_device(request, device), **said)
    messages.success(request, f"What you state of {stated.name} is kept; policies may ask for it.")
    return redirect("page-devices")


def _tokens_page(
    request: HttpRequest, form: TokenForm, *, issued: accounts.IssuedToken | None = None
) -> HttpResponseBase:
    actor = actor_of(request)
    own = ApiToken.objects.visible_to(actor).filter(user_id=actor.id).order_by("-created_at")
    context = {"tokens": own, "form": form, "issued": issued, "now": timezone.now()}
    return render(request, "accounts/tokens.html", context)


@require_safe
@signed_in
def tokens(request: HttpRequest) -> HttpResponseBase:
    """List one's own tokens."""
    return _tokens_page(request, TokenForm())


@require_POST
@never_cache
@signed_in
def create_token(request: HttpRequest) -> HttpResponseBase:
    """Issue a token and show its text, this once."""
    form, user = TokenForm(request.POST), request.user
    if not form.is_valid() or not isinstance(user, User):
        return _tokens_page(request, form)
    issued = accounts.create_token(
        actor=actor_of(request),
        owner=user,
        name=form.cleaned_data["name"],
        scopes=frozenset(Scope(scope) for scope in form.cleaned_data["scopes"]),
        expires_at=timezone.now() + timedelta(days=form.cleaned_data["days"]),
    )
    return _tokens_page(request, TokenForm(), issued=issued)


@require_POST
@signed_in
def revoke_token(request: HttpRequest, token: UUID) -> HttpResponseBase:
    """End a token at once."""
    actor = actor_of(request)
    found = ApiToken.objects.visible_to(actor).filter(id=token).first()
    if found is None:
        raise NotFound("There is no such token, or you may not see it.")
    accounts.revoke_token(actor=actor, token=found)
    messages.success(request, f"{found.name} is revoked.")
    return redirect("page-tokens")
