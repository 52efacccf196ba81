"""The console's form that makes Parquet files part of a table where they lie."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from accounts.domain import Actor
from audit.services import record_denial
from catalog import selectors
from catalog.adoption.prefixes import below
from catalog.domain import UploadMode
from catalog.models import Catalog
from catalog.services import registering as services
from catalog.writable import is_writable
from console.access import actor_of, signed_in, workspace_of
from governance import securables
from governance.domain import Action
from governance.selectors import decide
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
    problem: Problem | None = None
    shown = None
    if request.method == "POST":
        try:
            asked = _asked(said, chosen)
            if request.POST.get("step") == "register":
                services.register_files(actor=actor, catalog=found, asked=asked)
                messages.success(
                    request, f"Files are being registered in {asked.table}: all of them, or none."
                )
                return redirect("page-catalog", workspace, found.name)
            shown = services.preview_registration(actor=actor, catalog=found, asked=asked)
        except Problem as refused:
            record_denial(refused)
            problem = refused
    context = _rights(actor, found) | {
        "workspace": place,
        "catalog": found,
        "said": said,
        "chosen": chosen,
        "shown": shown,
        "files": shown.files[:SHOWN] if shown else (),
        "more": max(0, len(shown.files) - SHOWN) if shown else 0,
        "begins": below(found.bucket),
        "problem": problem,
        "beside": _beside(problem, said) if problem else "",
    }
    status = problem.status if problem else 200
    return render(request, "catalog/register.html", context, status=status)


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
    place = securables.workspace(catalog.workspace)
    return {
        "may_create": decide(actor, Action.TABLE_CREATE, catalog.securable),
        "may_manage": decide(actor, Action.BUCKET_MANAGE, place).allowed,
        "is_writable": is_writable(catalog),
    }


def _beside(problem: Problem, said: dict[str, str]) -> str:
    """Return the field that a problem is about; none where it is about more than one."""
    if problem.code == "invalid-name":
        return "schema" if repr(said["schema"]) in problem.detail else "table"
    if problem.code == "invalid":
        return "files" if said["files"] else "prefix"
    return BESIDE.get(problem.code, "")
