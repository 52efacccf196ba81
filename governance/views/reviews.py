"""Reviewing access: everyone's rights in a workspace, each kept or taken away, with evidence."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods, require_POST

from accounts.domain import Actor
from console.access import actor_of, signed_in, workspace_of
from console.refusals import Attempt, answer
from governance import securables
from governance.api.reviews import evidence_file
from governance.domain import Action, ReviewOutcome
from governance.models import AccessReview
from governance.selectors import decide
from governance.services import access_reviews
from governance.views.days import end_of
from problems import NotFound, Problem
from workspaces.models import Workspace

SHOWN = 50
PAGE_SIZE = 100


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def reviews(request: HttpRequest, workspace: str) -> HttpResponseBase:
    """Show the workspace's reviews of access; a POST starts one."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    if request.method != "POST":
        return _list(request, actor, place)
    with Attempt() as attempt:
        made = access_reviews.start_review(
            actor=actor,
            workspace=place,
            title=request.POST.get("title", ""),
            due_at=end_of(request.POST.get("due", "")),
        )
        return redirect("page-access-review", place.slug, made.id)
    return _list(request, actor, place, attempt.problem)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def review(request: HttpRequest, workspace: str, identifier: UUID) -> HttpResponseBase:
    """Show one review and its rights; a POST closes it."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    found = access_reviews.find_review(actor, place, identifier)
    if request.method != "POST":
        return _review(request, actor, found)
    with Attempt() as attempt:
        access_reviews.close_review(actor=actor, review=found)
        messages.success(request, f"The review {found.title} is closed.")
        return redirect("page-access-review", place.slug, found.id)
    return _review(request, actor, found, attempt.problem)


@require_POST
@signed_in
def decide_right(
    request: HttpRequest, workspace: str, identifier: UUID, item: UUID, step: str
) -> HttpResponseBase:
    """Keep one right, or take it away."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    found = access_reviews.find_review(actor, place, identifier)
    right = access_reviews.find_item(found, item)
    reason = request.POST.get("reason", "")
    with Attempt() as attempt:
        match step:
            case "confirm":
                done = access_reviews.confirm_right(actor=actor, item=right, reason=reason)
            case "revoke":
                done = access_reviews.revoke_right(actor=actor, item=right, reason=reason)
            case _:
                raise NotFound("There is no such step.")
        kept = done.outcome == ReviewOutcome.CONFIRMED
        messages.success(request, f"{done.holder}: {'kept' if kept else 'taken away'}.")
        address = redirect("page-access-review", place.slug, found.id)
        address["Location"] += f"?{request.GET.urlencode()}" if request.GET else ""
        return address
    return _review(request, actor, found, attempt.problem)


@require_http_methods(["GET", "HEAD"])
@signed_in
def evidence(request: HttpRequest, workspace: str, identifier: UUID) -> HttpResponseBase:
    """Return a review as CSV."""
    place = workspace_of(request, workspace)
    return evidence_file(access_reviews.find_review(actor_of(request), place, identifier))


def _list(
    request: HttpRequest, actor: Actor, place: Workspace, problem: Problem | None = None
) -> HttpResponse:
    rows = list(access_reviews.visible_reviews(actor, place)[:SHOWN])
    context = {
        "workspace": place,
        "reviews": rows,
        "under_way": next((row for row in rows if row.closed_at is None), None),
        "may_review": _may_review(actor, place),
        "title": request.POST.get("title", ""),
        "due": request.POST.get("due", ""),
    }
    return answer(request, "governance/reviews.html", context, problem)


def _review(
    request: HttpRequest, actor: Actor, found: AccessReview, problem: Problem | None = None
) -> HttpResponse:
    only = request.GET.get("show", "")
    items = found.items.select_related("decided_by").order_by("source", "holder", "id")
    if only in set(ReviewOutcome):
        items = items.filter(outcome=only)
    context = {
        "workspace": found.workspace,
        "review": access_reviews.with_counts(AccessReview.objects.filter(id=found.id)).get(),
        "page": Paginator(items, PAGE_SIZE).get_page(request.GET.get("page")),
        "only": only,
        "outcomes": [outcome.value for outcome in ReviewOutcome],
        "may_review": _may_review(actor, found.workspace) and found.closed_at is None,
    }
    return answer(request, "governance/review.html", context, problem)


def _may_review(actor: Actor, place: Workspace) -> bool:
    return decide(actor, Action.MEMBER_MANAGE, securables.workspace(place)).allowed
