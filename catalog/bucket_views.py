"""The console's pages of buckets: what is connected, connecting one, its check and its keys."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime, time
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.dateparse import parse_date
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.domain import Actor
from catalog import selectors, services
from catalog.buckets.advice import Documents
from catalog.buckets.presets import PRESETS, Preset, preset_of
from catalog.buckets.report import Outcome
from catalog.buckets.rules import BucketSettings, refused
from catalog.domain import AddressingStyle, BucketKind, CredentialKind, Encryption
from catalog.models import Catalog
from catalog.models.buckets import external_id_of
from catalog.services.bucket_keys import console_origin
from catalog.storage import Credentials
from console.access import actor_of, signed_in, workspace_of
from console.refusals import FORBIDDEN, NOT_FOUND, Attempt, answer
from governance import securables
from governance.domain import Action
from governance.selectors import decide
from problems import NotFound, Problem
from workspaces.models import Workspace


@require_safe
@signed_in
def buckets(request: HttpRequest, workspace: str) -> HttpResponseBase:
    """List the buckets of the workspace."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    context = {
        "workspace": place,
        "buckets": selectors.visible_buckets(actor, place),
        "may_manage": _may_manage(actor, place),
        "presets": PRESETS,
    }
    return render(request, "catalog/buckets.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def connect(request: HttpRequest, workspace: str) -> HttpResponseBase:
    """Show the form of a new bucket; connect it, and go on to its check."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    made = None
    with Attempt(elsewhere={FORBIDDEN}) as attempt:
        if request.method == "POST":
            made = services.connect_bucket(
                actor=actor, workspace=place, settings=_settings(request), key=_key(request)
            )
    if made is not None:
        services.check_bucket(actor=actor, bucket=made)
        messages.success(request, f"{made.name} is connected.")
        return redirect("page-bucket", workspace, made.id)
    preset = preset_of(request.POST.get("provider", "") or request.GET.get("provider", ""))
    context = {
        "workspace": place,
        "may_manage": _may_manage(actor, place),
        "presets": PRESETS,
        "preset": preset,
        "said": _said(request, preset),
        "takes_host_identity": settings.HOST_IDENTITY,
        "external_id": external_id_of(place),
        "trust_policy": _documents(place, _said(request, preset)).trust_policy(""),
    }
    return answer(request, "catalog/bucket_connect.html", context, attempt.problem)


@require_safe
@signed_in
def bucket(request: HttpRequest, workspace: str, bucket: str) -> HttpResponseBase:
    """Show one bucket: where it is, what its last check found, and its keys."""
    return _bucket(request, workspace, bucket)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def bucket_settings(request: HttpRequest, workspace: str, bucket: str) -> HttpResponseBase:
    """Show how a bucket is reached and written; keep a change if the bucket passes its check."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    found = selectors.find_bucket(actor, place, bucket)
    with Attempt(elsewhere={FORBIDDEN}) as attempt:
        if request.method == "POST":
            given = replace(_settings(request), provider=found.provider)
            services.change_checked_bucket(actor=actor, bucket=found, settings=given)
            messages.success(request, "Kept.")
            return redirect("page-bucket", workspace, found.id)
    said = asdict(services.settings_of(found))
    if request.method == "POST":
        said |= {name: request.POST.get(name, "") for name in (*_TEXTS, *_CHOICES)}
        said["is_read_only"] = "is_read_only" in request.POST
    context = {
        "workspace": place,
        "bucket": found,
        "said": said,
        "check": attempt.problem.extra.get("check") if attempt.problem else None,
        "may_manage": _may_manage(actor, place) and found.kind == BucketKind.CUSTOMER,
        "is_used": Catalog.objects.live().filter(bucket=found).exists(),
    }
    return answer(request, "catalog/bucket_settings.html", context, attempt.problem)


@require_POST
@signed_in
def bucket_step(request: HttpRequest, workspace: str, bucket: str, step: str) -> HttpResponseBase:
    """Check a bucket, give it a new key, or disconnect it."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    found = selectors.find_bucket(actor, place, bucket)
    with Attempt(elsewhere={FORBIDDEN, NOT_FOUND}) as attempt:
        match step:
            case "check":
                services.check_bucket(actor=actor, bucket=found)
            case "rotate":
                if (key := _key(request)) is None:
                    raise refused("access_key_id", "The key is missing.", "Paste it.")
                services.rotate_bucket_key(actor=actor, bucket=found, key=key)
                messages.success(request, "The new key is used. The old one holds for a day more.")
            case "disconnect":
                services.disconnect_bucket(actor=actor, bucket=found)
                messages.success(request, f"{found.name} is disconnected. What is in it stays.")
                return redirect("page-buckets", workspace)
            case _:
                raise NotFound("The form does not say what to do.", hint="Load the page again.")
    if attempt.problem:
        return _bucket(request, workspace, bucket, attempt.problem)
    return redirect("page-bucket", workspace, found.id)


def _bucket(
    request: HttpRequest, workspace: str, reference: str, problem: Problem | None = None
) -> HttpResponseBase:
    actor, place = actor_of(request), workspace_of(request, workspace)
    found = selectors.find_bucket(actor, place, reference)
    check = problem.extra.get("check") if problem else None
    context = {
        "workspace": place,
        "bucket": found,
        "check": check or found.last_check,
        "is_of_new_key": check is not None,
        "keys": found.keys.all(),
        "catalogs": [
            one for one in selectors.visible_catalogs(actor, place) if one.bucket_id == found.id
        ],
        "may_manage": _may_manage(actor, place),
        "failed": Outcome.FAILED.value,
        "access_policy": _documents(place, asdict(services.settings_of(found))).access_policy(),
    }
    return answer(request, "catalog/bucket.html", context, problem)


def _may_manage(actor: Actor, workspace: Workspace) -> bool:
    return decide(actor, Action.BUCKET_MANAGE, securables.workspace(workspace)).allowed


def _settings(request: HttpRequest) -> BucketSettings:
    """Return what the form says. Raises `InvalidBucket` for a choice that is none."""
    said = {name: request.POST.get(name, "").strip() for name in _TEXTS}
    try:
        return BucketSettings(
            **said,
            addressing_style=AddressingStyle(request.POST.get("addressing_style", "path")),
            credential_kind=CredentialKind(request.POST.get("credential_kind", "static")),
            encryption=Encryption(request.POST.get("encryption", "")),
            is_read_only="is_read_only" in request.POST,
        )
    except ValueError as error:
        raise refused("form", "A choice of the form is none.", "Load the page again.") from error


_TEXTS = (
    "name",
    "provider",
    "bucket_name",
    "prefix",
    "endpoint",
    "public_endpoint",
    "region",
    "role_arn",
    "sts_endpoint",
    "kms_key_id",
)


_CHOICES = ("addressing_style", "credential_kind", "encryption")


def _key(request: HttpRequest) -> Credentials | None:
    """Return the key that the form gives; None where it gives none."""
    access_key_id = request.POST.get("access_key_id", "").strip()
    secret = request.POST.get("secret_access_key", "").strip()
    if not access_key_id and not secret:
        return None
    ends = request.POST.get("expires_on", "").strip()
    day = parse_date(ends) if ends else None
    if ends and day is None:
        raise refused("expires_on", f"{ends[:40]!r} is no day.", "Write it as 2027-01-31.")
    expires_at = datetime.combine(day, time.max, UTC) if day else None
    return Credentials(access_key_id, secret, "", expires_at)


def _said(request: HttpRequest, preset: Preset) -> dict[str, Any]:
    """Return what the form shows: what was said, else what the provider's buckets have."""
    begin = {
        "endpoint": preset.endpoint,
        "region": preset.region,
        "addressing_style": preset.style.value,
        "credential_kind": "static",
    }
    if request.method != "POST":
        return begin
    shown = (*_TEXTS, *_CHOICES, "access_key_id")
    return begin | {name: request.POST.get(name, "") for name in shown}


def _documents(workspace: Workspace, said: dict[str, Any]) -> Documents:
    return Documents(
        bucket=said.get("bucket_name") or "BUCKET",
        prefix=said.get("prefix", ""),
        region=said.get("region", ""),
        is_read_only=bool(said.get("is_read_only")),
        external_id=external_id_of(workspace),
        origin=console_origin(),
        provider=said.get("provider", ""),
    )
