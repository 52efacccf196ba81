"""The console's pages of lakes that were made elsewhere: asked for, looked at, adopted."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.domain import Actor
from catalog import selectors, services
from catalog.domain import AdoptionMode, AdoptionSource, AdoptionState
from catalog.models import Adoption
from catalog.services.adoptions import Source
from catalog.services.catalogs import hosted_bucket
from console.access import actor_of, signed_in, workspace_of
from console.refusals import FORBIDDEN, Attempt, answer
from governance import securables
from governance.domain import Action
from governance.selectors import decide
from problems import Invalid
from workspaces.models import Workspace

FOLLOW_SECONDS = 300
TEXTS = ("name", "description", "bucket", "prefix", "source_schema", "metadata_key")
RUNNING = (AdoptionState.QUEUED, AdoptionState.READING, AdoptionState.CONFIRMED)
STEPS = (
    (AdoptionState.QUEUED, "Waiting for a worker"),
    (AdoptionState.READING, "Connecting, reading and checking"),
    (AdoptionState.CONFIRMED, "Adopting"),
)


@require_safe
@signed_in
def adoptions(request: HttpRequest, workspace: str) -> HttpResponseBase:
    """List the adoptions of the workspace."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    context = {
        "workspace": place,
        "adoptions": selectors.visible_adoptions(actor, place),
        "may_adopt": _may_adopt(actor, place),
    }
    return render(request, "catalog/adoptions.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def new_adoption(request: HttpRequest, workspace: str) -> HttpResponseBase:
    """Show the form that says where a lake is; have it read, and go on to what was found."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    with Attempt(elsewhere={FORBIDDEN}) as attempt:
        if request.method == "POST":
            made = _requested(request, actor, place)
            return redirect("page-adoption", workspace, made.id)
    said = request.POST if request.method == "POST" else request.GET
    may_adopt = _may_adopt(actor, place)
    context = {
        "workspace": place,
        "may_adopt": may_adopt,
        "buckets": selectors.visible_buckets(actor, place) if may_adopt else (),
        "said": {name: said.get(name, "") for name in TEXTS}
        | {"store": said.get("store", "postgresql"), "mode": said.get("mode", "managed")},
        "own_place": f"adopted/{place.id}/",
    }
    return answer(request, "catalog/adoption_new.html", context, attempt.problem)


@require_safe
@signed_in
def adoption(request: HttpRequest, workspace: str, adoption: UUID) -> HttpResponseBase:
    """Show where an adoption stands and what was found; while it runs the page asks again."""
    place = workspace_of(request, workspace)
    found = selectors.find_adoption(actor_of(request), place, adoption)
    is_fragment = request.headers.get("HX-Request") == "true"
    template = "catalog/adoption.html" + ("#standing" if is_fragment else "")
    return render(request, template, _context(place, found))


@require_POST
@signed_in
def adoption_step(
    request: HttpRequest, workspace: str, adoption: UUID, step: str
) -> HttpResponseBase:
    """Say yes to a report, or throw it away."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    found = selectors.find_adoption(actor, place, adoption)
    with Attempt(elsewhere={FORBIDDEN}) as attempt:
        match step:
            case "confirm":
                services.confirm_adoption(actor=actor, adoption=found)
                return redirect("page-adoption", workspace, found.id)
            case "cancel":
                services.cancel_adoption(actor=actor, adoption=found)
                messages.success(request, f"{found.name} was not adopted; nothing was kept of it.")
                return redirect("page-adoptions", workspace)
            case _:
                raise Invalid("The form does not say what to do.", hint="Load the page again.")
    found = selectors.find_adoption(actor, place, adoption)
    return answer(request, "catalog/adoption.html", _context(place, found), attempt.problem)


def _context(place: Workspace, found: Adoption) -> dict[str, Any]:
    report = found.report or {}
    return {
        "workspace": place,
        "adoption": found,
        "report": report,
        "blocking": [one for one in report.get("findings", []) if one["severity"] == "blocking"],
        "notes": [one for one in report.get("findings", []) if one["severity"] != "blocking"],
        "is_running": found.state in RUNNING,
        "doing": dict(STEPS).get(AdoptionState(found.state), ""),
        "rows": (found.progress or {}).get("rows", 0),
    }


def _may_adopt(actor: Actor, workspace: Workspace) -> bool:
    place = securables.workspace(workspace)
    actions = (Action.CATALOG_CREATE, Action.BUCKET_MANAGE)
    return all(decide(actor, one, place).allowed for one in actions)


def _requested(request: HttpRequest, actor: Actor, place: Workspace) -> Adoption:
    """Ask for the adoption that the form says. Raises what the service raises."""
    said = {name: request.POST.get(name, "").strip() for name in TEXTS}
    mode = AdoptionMode.READ_ONLY if request.POST.get("mode") == "read_only" else None
    source = _source(request, said)
    is_followed = mode is not None and source.kind is AdoptionSource.POSTGRESQL
    return services.request_adoption(
        actor=actor,
        bucket=selectors.find_bucket(actor, place, said["bucket"])
        if said["bucket"]
        else hosted_bucket(place),
        name=said["name"],
        description=said["description"],
        mode=mode or AdoptionMode.MANAGED,
        prefix=said["prefix"],
        source=source,
        sync_seconds=FOLLOW_SECONDS if is_followed else 0,
    )


def _source(request: HttpRequest, said: dict[str, str]) -> Source:
    """Return where the form says that the metadata is. Raises `Invalid` where it does not."""
    try:
        kind = AdoptionSource(request.POST.get("store", ""))
    except ValueError as error:
        raise Invalid("The form does not say what keeps the metadata.", hint="Choose.") from error
    if kind is AdoptionSource.POSTGRESQL:
        return Source(kind, said["source_schema"], dsn=request.POST.get("dsn", "").strip())
    file = request.FILES.get("file")
    if isinstance(file, UploadedFile):
        return Source(kind, said["source_schema"], file=file, file_name=file.name or "a file")
    return Source(kind, said["source_schema"], key=said["metadata_key"])
