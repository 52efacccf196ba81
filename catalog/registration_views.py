"""The console's form that makes Parquet files part of a table where they lie."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from accounts.domain import Actor
from catalog import selectors
from catalog.adoption.prefixes import below
from catalog.domain import UploadMode
from catalog.models import Catalog
from catalog.names import InvalidName
from catalog.services import registering as services
from catalog.services.registration_preview import preview_registration
from catalog.writable import is_writable
from console.access import actor_of, signed_in, workspace_of
from console.refusals import Attempt, answer
from governance import securables
from governance.domain import Action, Request
from governance.selectors import decide_many
from problems import Problem

TEXTS = ("prefix", "files", "schema", "table", "mode")
CHOICES = ("allow_missing", "ignore_extra", "skip_registered")
BESIDE = {
    "prefix-refused": "prefix",
    "storage-unreachable": "prefix",
    "table-exists": "table",
    "unknown-table": "table",
}
SHOWN = 200
"""So many files are listed; the others are counted."""


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def register(request: HttpRequest, workspace: str, catalog: str) -> HttpResponseBase:
    """Show the form; say which files would be registered, or have it done."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    found = selectors.find_catalog(actor, place, catalog)
    said = {name: request.POST.get(name, "").strip() for name in TEXTS}
    chosen = {name: name in request.POST for name in CHOICES}
    shown = None
    with Attempt() as attempt:
        asked = _asked(said, chosen)
        if request.POST.get("step") == "register":
            services.register_files(actor=actor, catalog=found, asked=asked)
            messages.success(
                request, f"Files are being registered in {asked.table}: all of them, or none."
            )
            return redirect("page-catalog", workspace, found.name)
        if request.method == "POST":
            shown = preview_registration(actor=actor, catalog=found, asked=asked)
    context = _rights(actor, found) | {
        "workspace": place,
        "catalog": found,
        "said": said,
        "chosen": chosen,
        "shown": shown,
        "files": sorted(shown.files, key=lambda one: not one.problem)[:SHOWN] if shown else (),
        "more": max(0, len(shown.files) - SHOWN) if shown else 0,
        "begins": below(found.bucket),
        "beside": _beside(attempt.problem, said) if attempt.problem else "",
    }
    return answer(request, "catalog/register.html", context, attempt.problem)


def _asked(said: dict[str, str], chosen: dict[str, bool]) -> services.Registration:
    return services.Registration(
        schema=said["schema"] or "main",
        table=said["table"],
        mode=UploadMode.CREATE if said["mode"] == "create" else UploadMode.APPEND,
        prefix=said["prefix"],
        files=tuple(line.strip() for line in said["files"].splitlines() if line.strip()),
        **chosen,
    )


def _rights(actor: Actor, catalog: Catalog) -> dict[str, object]:
    """Return what decides whether the form is offered, and which prefixes."""
    create = Request(Action.TABLE_CREATE, catalog.securable)
    manage = Request(Action.BUCKET_MANAGE, securables.workspace(catalog.workspace))
    may_create, may_manage = decide_many(actor, [create, manage])
    return {
        "may_create": may_create,
        "may_manage": may_manage.allowed,
        "is_writable": is_writable(catalog),
    }


def _beside(problem: Problem, said: dict[str, str]) -> str:
    """Return the field that a problem is about; none where it is about more than one."""
    if isinstance(problem, InvalidName):
        return "schema" if problem.kind == "schema" else "table"
    if problem.code == "invalid":
        return "files" if said["files"] else "prefix"
    return BESIDE.get(problem.code, "")
