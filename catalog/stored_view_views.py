"""The console's pages of views: one view, the form of its text, and its dropping."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from accounts.domain import Actor
from catalog import selectors
from catalog.confirming import Asked, confirmed
from catalog.models import Catalog
from catalog.names import InvalidName
from catalog.services import stored_views as services
from catalog.stored_views.page import ViewPage, view_page
from catalog.writable import is_writable
from console.access import actor_of, signed_in, workspace_of
from console.refusals import Attempt, answer
from governance.domain import Action
from governance.selectors import decide
from problems import Problem

FIELDS = ("schema", "name", "sql", "comment")
BESIDE = {"table-exists": "name", "unknown-schema": "schema", "invalid-change": "comment"}
"""Beside which field a problem is told; all others are about the text."""


@require_safe
@signed_in
def view(
    request: HttpRequest, workspace: str, catalog: str, schema: str, view: str
) -> HttpResponseBase:
    """Show one view: its columns, its text, what it reads and who may see it."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    found = selectors.find_catalog(actor, place, catalog)
    page = view_page(actor, found, schema, view)
    context = {
        "workspace": place,
        "catalog": found,
        "page": page,
        "view": page.seen.view,
        "may_change": page.may_alter and is_writable(found),
    }
    return render(request, "catalog/view.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def new_view(request: HttpRequest, workspace: str, catalog: str) -> HttpResponseBase:
    """Show the form of a new view; say what its text would give, or have it made."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    return _form(request, actor, selectors.find_catalog(actor, place, catalog), None)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def change_view(
    request: HttpRequest, workspace: str, catalog: str, schema: str, view: str
) -> HttpResponseBase:
    """Show the form of another text for a view; say what it would give, or put it there."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    found = selectors.find_catalog(actor, place, catalog)
    return _form(request, actor, found, view_page(actor, found, schema, view))


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def drop_view(
    request: HttpRequest, workspace: str, catalog: str, schema: str, view: str
) -> HttpResponseBase:
    """Say what dropping a view would do, and drop it."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    found = selectors.find_catalog(actor, place, catalog)
    asked = Asked(
        catalog=found,
        title=f"Drop {view}",
        verb=f"Drop {view}",
        told=f"{view} is dropped in a moment.",
        back=reverse("page-view", args=[workspace, found.name, schema, view]),
        is_danger=True,
    )
    whose: dict[str, Any] = {"actor": actor, "catalog": found, "schema": schema, "name": view}
    return confirmed(
        request,
        asked,
        lambda: services.preview_view_change(**whose, op="drop").as_dict(),
        lambda: services.change_view(**whose, op="drop"),
    )


def _form(
    request: HttpRequest, actor: Actor, catalog: Catalog, before: ViewPage | None
) -> HttpResponseBase:
    said = _said(request, before)
    shown = None
    with Attempt() as attempt:
        if request.POST.get("step") == "make":
            return _made(request, actor, catalog, before, said)
        if request.method == "POST":
            shown = services.preview_new_view(actor=actor, catalog=catalog, **_asked(said, before))
    action = Action.TABLE_ALTER if before else Action.TABLE_CREATE
    context = {
        "workspace": catalog.workspace,
        "catalog": catalog,
        "before": before,
        "keeps_comment": _keeps_comment(before),
        "said": said,
        "shown": shown,
        "beside": _beside(attempt.problem) if attempt.problem else "",
        "decision": decide(actor, action, catalog.securable),
        "is_writable": is_writable(catalog),
    }
    return answer(request, "catalog/view_form.html", context, attempt.problem)


def _said(request: HttpRequest, before: ViewPage | None) -> dict[str, str]:
    """Return what the form has: what was typed, else what the view is now."""
    said = {"schema": "main", "name": "", "sql": "", "comment": ""}
    if before is not None:
        view = before.seen.view
        said = {
            "schema": view.schema_name,
            "name": view.name,
            "sql": before.text,
            "comment": "" if _keeps_comment(before) else view.comment,
        }
    if request.method == "POST":
        typed = FIELDS[2:] if before else FIELDS
        said |= {name: request.POST.get(name, "").replace("\r\n", "\n") for name in typed}
        said["schema"], said["name"] = said["schema"].strip() or "main", said["name"].strip()
    return said


def _keeps_comment(before: ViewPage | None) -> bool:
    """Tell whether the form does not show the comment of the view: it is withheld too."""
    return before is not None and bool(before.seen.problem and before.withheld)


def _asked(said: dict[str, str], before: ViewPage | None) -> dict[str, Any]:
    """Return what the form asks for; a comment that it does not show stays unless one is typed."""
    keeps = _keeps_comment(before) and not said["comment"]
    return said | {"comment": None if keeps else said["comment"], "replace": before is not None}


def _made(
    request: HttpRequest,
    actor: Actor,
    catalog: Catalog,
    before: ViewPage | None,
    said: dict[str, str],
) -> HttpResponseBase:
    services.create_view(actor=actor, catalog=catalog, **_asked(said, before))
    what = "gets its new text" if before else "is being made"
    messages.success(request, f"The view {said['name']} {what}; it is there in a moment.")
    return redirect("page-catalog", catalog.workspace.slug, catalog.name)


def _beside(problem: Problem) -> str:
    """Return the field that a problem is about."""
    if isinstance(problem, InvalidName):
        return "schema" if problem.kind == "schema" else "name"
    return BESIDE.get(problem.code, "sql")
