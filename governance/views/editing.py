"""The page of one policy and its editor: composed, checked while one types, saved."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.dateparse import parse_date
from django.views.decorators.http import require_POST, require_safe

from accounts.domain import Actor
from console.access import actor_of, signed_in, workspace_of
from governance import examination
from governance.domain import Action, PolicyKind, VersionState
from governance.forms.posted import who_of
from governance.models import Policy, PolicyVersion
from governance.policy_files import PolicyFileInvalid
from governance.policy_selectors import find_policy, find_version, withheld
from governance.scopes import scope_of
from governance.selectors import decide
from governance.services.authorization import authorize
from governance.services.policies import change_draft, change_policy, draft_version, rows
from governance.views import composer, differences
from governance.views.lines import KINDS
from problems import Problem
from workspaces.models import Workspace


@require_safe
@signed_in
def policy(request: HttpRequest, workspace: str, policy: str) -> HttpResponseBase:
    """Show one policy: its draft in the editor, or else what is in force; and its history."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    found = find_policy(actor, place, policy)
    context = page_context(actor, place, found)
    return render(request, "governance/policy.html", context)


def page_context(actor: Actor, workspace: Workspace, policy: Policy) -> dict[str, Any]:
    """Return what the page of a policy shows."""
    versions = list(policy.versions.select_related("author", "decided_by", "published_by"))
    for version in versions:
        version.policy = policy
    hidden = withheld(actor, workspace, versions)
    in_force = next((v for v in versions if v.state == VersionState.PUBLISHED), None)
    opened = next((v for v in versions if v.state in rows.OPEN), None)
    shown = opened or in_force or versions[0]
    scope = scope_of(policy)
    may = {
        "author": decide(actor, Action.POLICY_AUTHOR, scope).allowed,
        "publish": decide(actor, Action.POLICY_PUBLISH, scope).allowed,
    }
    title, icon = KINDS[PolicyKind(policy.kind)]
    is_hidden = shown.id in hidden
    editable = opened is not None and opened.state == VersionState.DRAFT
    context: dict[str, Any] = {
        "workspace": workspace,
        "policy": policy,
        "scope": scope,
        "scope_path": scope_path(workspace, policy),
        "kind_title": title,
        "kind_icon": icon,
        "versions": versions,
        "in_force": in_force,
        "open": opened,
        "shown": shown,
        "may": may,
        "is_hidden": is_hidden,
        "hidden": hidden,
        "is_editable": editable and may["author"] and not is_hidden,
        "needs_approval": rows.requires_approval(workspace),
        "is_own": opened is not None and str(actor.id) in opened.contributor_ids,
        "name_is_fixed": any(v.state != VersionState.DRAFT for v in versions),
        "before": next((v for v in versions if v.published_at and v is not in_force), None),
    }
    if is_hidden:
        return context
    draft = composer.opened(policy, shown)
    if context["is_editable"]:
        return context | composer.context_of(policy, draft)
    context |= {"draft": draft, "lines": draft.text.splitlines()}
    return context | _compared(actor, workspace, opened, in_force)


def _compared(
    actor: Actor,
    workspace: Workspace,
    opened: PolicyVersion | None,
    in_force: PolicyVersion | None,
) -> dict[str, Any]:
    if opened is None or in_force is None or opened.is_retirement:
        return {}
    if withheld(actor, workspace, [in_force]):
        return {}
    before, after = examination.shown_text(in_force), examination.shown_text(opened)
    return {"difference": differences.lines(before, after)}


def scope_path(workspace: Workspace, policy: Policy) -> str:
    """Return the address of the page of what the policy holds for; empty where it has none."""
    parts = policy.scope_label.split(".", 2)
    match policy.scope_key.partition(":")[0]:
        case "catalog":
            return reverse("page-catalog", args=[workspace.slug, policy.scope_label])
        case "table" if len(parts) == 3:  # noqa: PLR2004 - catalog, schema, table
            return reverse("page-table", args=[workspace.slug, *parts])
        case _:
            return ""


@require_safe
@signed_in
def policy_version(
    request: HttpRequest, workspace: str, policy: str, number: int
) -> HttpResponseBase:
    """Show one version: its text, who wrote and agreed to it, and what it changed."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    found = find_policy(actor, place, policy)
    version = find_version(found, number)
    earlier = found.versions.filter(published_at__isnull=False, number__lt=number)
    before = earlier.order_by("-number").first()
    is_hidden = bool(withheld(actor, place, [version, *filter(None, [before])]))
    context: dict[str, Any] = {
        "workspace": place,
        "policy": found,
        "version": version,
        "before": before,
        "is_hidden": is_hidden,
    }
    if not is_hidden:
        text = examination.shown_text(version)
        context["tests"] = composer.tests_text_of(examination.shown_tests(version))
        context["difference"] = differences.lines(
            examination.shown_text(before) if before else "", text
        )
    return render(request, "governance/version.html", context)


@require_POST
@signed_in
def begin_draft(request: HttpRequest, workspace: str, policy: str) -> HttpResponseBase:
    """Open the next version, with the text of the one in force."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    found = find_policy(actor, place, policy)
    draft_version(actor=actor, policy=found)
    return redirect("page-policy", place.slug, found.name)


@require_POST
@signed_in
def compose(request: HttpRequest, workspace: str, policy: str) -> HttpResponseBase:
    """Answer the editor itself again: as text or form, or with a principal added or removed."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    found = find_policy(actor, place, policy)
    authorize(actor, Action.POLICY_AUTHOR, scope_of(found))
    draft = composer.posted(found, request.POST)
    context = composer.context_of(found, draft) | {
        "workspace": place,
        "policy": found,
        "added": request.POST.get("add", "").partition(":")[0],
        "wanted_form": request.POST.get("to") == "form",
    }
    answer = render(request, "governance/editor.html", context)
    answer.headers["HX-Trigger-After-Settle"] = "composed"
    return answer


@require_POST
@signed_in
def principals(request: HttpRequest, workspace: str, policy: str) -> HttpResponseBase:
    """Suggest whom a field may name."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    found = find_policy(actor, place, policy)
    authorize(actor, Action.POLICY_AUTHOR, scope_of(found))
    field = "who" if request.POST.get("field") == "who" else "exempt"
    named = request.POST.get(f"find_{field}", "")
    suggested = composer.suggestions(
        place.organization,
        named,
        who_of(request.POST, field),
        composer.MOST if named.strip() else composer.FEW,
        with_attributes=found.kind != PolicyKind.ACCESS,
    )
    context = {"suggested": suggested, "field": field, "text": named, "workspace": place}
    return render(request, "governance/who.html#suggested", context | {"policy": found})


@require_POST
@signed_in
def check(request: HttpRequest, workspace: str, policy: str) -> HttpResponseBase:
    """Say what the text as it stands would mean, what is wrong with it, and how its tests go."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    found = find_policy(actor, place, policy)
    authorize(actor, Action.POLICY_AUTHOR, scope_of(found))
    draft = composer.posted(found, request.POST)
    context: dict[str, Any] = {"workspace": place, "policy": found, "draft": draft}
    try:
        version = unsaved(found, draft)
    except PolicyFileInvalid as problem:
        context["problem"] = problem.as_dict()
    else:
        context["examined"] = examination.examine(version, actor=actor)
        context |= _compared(actor, place, version, rows.published_version(found))
    answer = render(request, "governance/verdict.html", context)
    answer.headers["HX-Trigger-After-Settle"] = "checked"
    return answer


def unsaved(policy: Policy, draft: composer.Draft) -> PolicyVersion:
    """Return what the editor holds, saved nowhere. Raises `PolicyFileInvalid` for its tests."""
    opened = rows.open_version(policy)
    number = opened.number if opened else rows.next_number(policy)
    tests = composer.tests_of(draft.tests_text)
    return PolicyVersion(policy=policy, number=number, text=draft.text, tests=tests)


@require_POST
@signed_in
def save(request: HttpRequest, workspace: str, policy: str) -> HttpResponseBase:
    """Keep what the editor holds as the draft; where that is refused, nothing typed is lost."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    found = find_policy(actor, place, policy)
    try:
        version = keep(actor, found, request)
        renamed = keep_around(actor, found, request)
    except Problem as problem:
        return refused(request, found, problem)
    if renamed.name != policy:
        messages.success(request, f"Saved as {renamed.name}.")
        address = reverse("page-policy", args=[place.slug, renamed.name])
        return HttpResponse(headers={"HX-Redirect": address})
    return render(request, "governance/saved.html", {"version": version})


def keep(
    actor: Actor, policy: Policy, request: HttpRequest, reason: str | None = None
) -> PolicyVersion:
    """Save the editor's text and tests, with the reason where one is given."""
    draft = composer.posted(policy, request.POST)
    return change_draft(
        actor=actor,
        policy=policy,
        number=number_of(request),
        expected=request.POST.get("etag", ""),
        text=draft.text,
        tests=composer.tests_of(draft.tests_text),
        reason=reason,
    )


def number_of(request: HttpRequest) -> int:
    """Return the version that a request is about; 0, which no version is, for anything else."""
    written = request.POST.get("number", "")
    return int(written) if written.isdecimal() else 0


def keep_around(actor: Actor, policy: Policy, request: HttpRequest) -> Policy:
    """Save what stands around the text, where it was changed."""
    sent = request.POST
    name = sent.get("name", policy.name).strip()
    said = sent.get("description", policy.description).strip()
    day = parse_date(sent.get("expires_on", "")) if sent.get("expires_on") else None
    kept = policy.expires_at.date() if policy.expires_at else None
    moved = "expires_on" in sent and day != kept
    if (name, said) == (policy.name, policy.description) and not moved:
        return policy
    return change_policy(
        actor=actor,
        policy=policy,
        name=name,
        description=said,
        expires_at=datetime(day.year, day.month, day.day, tzinfo=UTC) if day and moved else None,
        never_expires=moved and day is None,
    )


def refused(request: HttpRequest, policy: Policy, problem: Problem) -> HttpResponse:
    """Return the notice of a problem in its place; htmx shows answers of 2xx only."""
    context: dict[str, Any] = {"problem": problem.as_dict(), "policy": policy}
    opened = rows.open_version(policy)
    if opened and opened.text == composer.posted(policy, request.POST).text:
        # Saved before the step was refused: it is what the editor holds.
        context["etag"] = opened.etag
    is_hidden = opened and withheld(actor_of(request), policy.workspace, [opened])
    if (current := problem.extra.get("current")) and not is_hidden:
        theirs, ours = current["text"], composer.posted(policy, request.POST).text
        context |= {
            "etag": current["etag"],
            "current": current,
            "difference": differences.lines(theirs, ours),
        }
    return render(request, "governance/refused.html", context)
