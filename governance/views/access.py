"""Asking for access, and deciding what others ask for."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from accounts.domain import Actor
from console.access import actor_of, signed_in, workspace_of
from console.refusals import Attempt, answer
from governance.domain import Action, RequestState
from governance.models import AccessRequest
from governance.scopes import named_scope
from governance.services import access_requests, access_reviews
from governance.views.days import end_of
from problems import NotFound, Problem
from workspaces.models import Workspace

DAYS = 30
SHOWN = 100
ACTIONS = (
    (Action.TABLE_QUERY, "Query it"),
    (Action.TABLE_APPEND, "Append to it"),
    (Action.TABLE_MATERIALIZE_EXTRACT, "Take extracts of it to my machine"),
    (Action.TABLE_MATERIALIZE_LOCALLY, "Take its files to my machine"),
)
SAID = {
    RequestState.DECLINED: "Declined; who asked reads why.",
    RequestState.GRANTED: "Granted.",
    RequestState.WITHDRAWN: "Withdrawn.",
}


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def access(request: HttpRequest, workspace: str) -> HttpResponseBase:
    """Show one's own requests and those one may decide; a POST asks for access."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    wanted = {"on": request.GET.get("on", ""), "actions": request.GET.getlist("action")}
    if request.method != "POST":
        return _page(request, actor, place, wanted)
    asked: dict[str, Any] = {
        "on": request.POST.get("on", "").strip(),
        "actions": request.POST.getlist("actions"),
        "reason": request.POST.get("reason", ""),
        "ends": request.POST.get("ends", ""),
    }
    with Attempt() as attempt:
        made = access_requests.request_access(
            actor=actor,
            workspace=place,
            securable=named_scope(actor, place, asked["on"] or "?"),
            actions=[Action(name) for name in asked["actions"] if name in set(Action)],
            reason=asked["reason"],
            ends_at=end_of(asked["ends"]),
        )
        messages.success(request, f"You asked for access to {made.securable_label}.")
        return redirect("page-access", place.slug)
    return _page(request, actor, place, asked, attempt.problem)


@require_POST
@signed_in
def decide_access(
    request: HttpRequest, workspace: str, identifier: UUID, step: str
) -> HttpResponseBase:
    """Grant, decline or withdraw one request."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    reason = request.POST.get("reason", "")
    with Attempt() as attempt:
        found = access_requests.find_request(actor, place, identifier)
        match step:
            case "grant":
                done = access_requests.grant_request(actor=actor, request=found, reason=reason)
            case "decline":
                done = access_requests.decline_request(actor=actor, request=found, reason=reason)
            case "withdraw":
                done = access_requests.withdraw_request(actor=actor, request=found)
            case _:
                raise NotFound("There is no such step.")
        messages.success(request, SAID[RequestState(done.state)])
        return redirect("page-access", place.slug)
    return _page(request, actor, place, {}, attempt.problem)


def _page(
    request: HttpRequest,
    actor: Actor,
    place: Workspace,
    wanted: dict[str, Any],
    problem: Problem | None = None,
) -> HttpResponse:
    rows = list(access_requests.visible_requests(actor, place)[:SHOWN])
    own = [row for row in rows if row.requester_id == actor.id]
    others = [row for row in rows if row.requester_id != actor.id]
    context = {
        "workspace": place,
        "to_decide": [_offer(row) for row in others if row.state == RequestState.OPEN],
        "own": own,
        "decided": [row for row in others if row.state != RequestState.OPEN],
        "actions": ACTIONS,
        "asked": {"actions": [], "ends": _in_days(DAYS)} | wanted,
        "today": _in_days(0),
        "may_read_reviews": access_reviews.may_read(actor, place),
    }
    return answer(request, "governance/access.html", context, problem)


def _offer(row: AccessRequest) -> dict[str, Any]:
    """Return a request with what would grant it, or why nothing can."""
    try:
        return {"row": row, "drafts": access_requests.drafts_of(row), "obstacle": ""}
    except Problem as problem:
        return {"row": row, "drafts": [], "obstacle": f"{problem.detail} {problem.hint}".strip()}


def _in_days(days: int) -> str:
    return (timezone.now() + timedelta(days=days)).date().isoformat()
