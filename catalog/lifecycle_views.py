"""The console's pages of what happens to a catalog after it was made."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods, require_POST

from accounts.domain import Actor
from catalog import lake, selectors, services
from catalog.models import Catalog
from catalog.services.dropped import Restorable, restorable_tables
from console.access import actor_of, signed_in, workspace_of
from console.refusals import FORBIDDEN, Attempt, answer
from governance.domain import Action
from governance.selectors import decide
from problems import Invalid


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def catalog_settings(request: HttpRequest, workspace: str, catalog: str) -> HttpResponseBase:
    """Show a catalog's settings; take a change, an archiving or a drop from who manages it."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    found = selectors.find_catalog(actor, place, catalog)
    with Attempt(elsewhere={FORBIDDEN}) as attempt:
        if request.method == "POST":
            return _changed(request, actor, found)
    if attempt.problem:
        found = selectors.find_catalog(actor, place, str(found.id))
    decision = decide(actor, Action.CATALOG_MANAGE, found.securable)
    context = {
        "workspace": place,
        "catalog": found,
        "decision": decision,
        "dropped": _dropped(actor, found),
        "may_alter": decide(actor, Action.TABLE_ALTER, found.securable).allowed,
    }
    return answer(request, "catalog/settings.html", context, attempt.problem)


def _dropped(actor: Actor, catalog: Catalog) -> list[Restorable]:
    """Return the tables that could come back; none where the lake is not there yet."""
    if catalog.metadata_schema not in lake.ready([catalog.metadata_schema]):
        return []
    return restorable_tables(actor, catalog)


def _changed(request: HttpRequest, actor: Actor, catalog: Catalog) -> HttpResponseBase:
    """Carry out what the form asks for, and return where to go next."""
    place = catalog.workspace.slug
    match request.POST.get("step", ""):
        case "change":
            services.change_catalog(
                actor=actor,
                catalog=catalog,
                name=request.POST.get("name", "").strip(),
                description=request.POST.get("description", "").strip(),
            )
            messages.success(request, "Kept.")
        case "archive" | "unarchive" as step:
            archived = step == "archive"
            services.archive_catalog(actor=actor, catalog=catalog, archived=archived)
            said = "is put away: read, and written no more" if archived else "takes writes again"
            messages.success(request, f"{catalog.name} {said}.")
        case "drop":
            if request.POST.get("confirm", "").strip() != catalog.name:
                raise Invalid(
                    "The name that was typed is not the catalog's.",
                    hint=f"Type {catalog.name} to drop it.",
                )
            services.drop_catalog(actor=actor, catalog=catalog)
            messages.success(request, f"{catalog.name} is dropped. It can be restored below.")
            return redirect("page-catalogs", place)
        case _:
            raise Invalid("The form does not say what to do.", hint="Load the page again.")
    return redirect("page-catalog-settings", place, catalog.name)


@require_POST
@signed_in
def restore_catalog(request: HttpRequest, workspace: str, catalog: str) -> HttpResponseBase:
    """Take a dropped catalog back."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    found = selectors.find_dropped_catalog(actor, place, catalog)
    name = request.POST.get("name", "").strip()
    restored = services.restore_catalog(actor=actor, catalog=found, name=name)
    messages.success(request, f"{restored.name} is back as it was.")
    return redirect("page-catalog", workspace, restored.name)
