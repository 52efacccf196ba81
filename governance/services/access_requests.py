"""Asking for access: a request with the policy that would grant it, and its decision."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts.domain import Actor, DeviceIdentity, DeviceStatus
from accounts.models import User
from accounts.selectors import actor_for_user
from audit import services as audit
from audit.domain import Event
from audit.services import Target
from governance import examination, grants, inventory, securables
from governance.domain import (
    Action,
    Decision,
    DecisionContext,
    PolicyKind,
    Request,
    RequestState,
    Securable,
    SecurableKind,
    VersionState,
)
from governance.models import AccessRequest, Policy, PolicyVersion
from governance.selectors import decide, decide_many
from governance.services import policies
from governance.services.authorization import authorize
from governance.services.policies.limits import check_expiry
from problems import Conflict, Invalid, NotFound
from workspaces.models import Workspace

ON_TABLES = frozenset(
    {
        Action.TABLE_APPEND,
        Action.TABLE_MATERIALIZE_EXTRACT,
        Action.TABLE_MATERIALIZE_LOCALLY,
        Action.TABLE_QUERY,
    }
)
"""What may be asked for."""

LOCAL = frozenset({Action.TABLE_MATERIALIZE_EXTRACT, Action.TABLE_MATERIALIZE_LOCALLY})
MAX_REASON_LENGTH = 2000
SOME_DEVICE = DeviceIdentity(uuid.UUID(int=0), "an approved device", "", DeviceStatus.APPROVED)
"""Which device is asked when it is used; a grant is about the person."""


class UnknownAccessRequest(NotFound):
    """There is no such request, or the actor may not know that there is."""

    code = "unknown-access-request"
    title = "There is no such request"


class AccessRequestOpen(Conflict):
    """The person has asked already."""

    code = "access-request-open"
    title = "You have asked already"


class AccessRequestDecided(Conflict):
    """The request was decided, or withdrawn, before."""

    code = "access-request-decided"
    title = "The request is no longer open"


class NotGrantable(Invalid):
    """No policy of the workspace could grant it."""

    code = "not-grantable"
    title = "No policy can grant this"


@dataclass(frozen=True, slots=True)
class Draft:
    """One text that takes an obstacle away: a policy of its own, or another's next version."""

    policy: Policy | None
    name: str
    text: str


@audit.service
def request_access(
    *,
    actor: Actor,
    workspace: Workspace,
    securable: Securable,
    actions: Sequence[Action],
    reason: str,
    ends_at: datetime | None = None,
) -> AccessRequest:
    """Ask whoever publishes policies for `securable` to let the actor do `actions` on it.

    Raises `Invalid` for what cannot be asked, `NotGrantable` where no policy of the workspace
    could grant it, `AccessRequestOpen`.
    """
    _check_askable(actor, securable, actions, reason, ends_at)
    request = AccessRequest(
        workspace=workspace,
        requester_id=actor.id,
        securable_key=securable.key,
        securable_label=securable.label,
        actions=sorted(action.value for action in set(actions)),
        reason=reason.strip(),
        ends_at=ends_at,
    )
    _check_grantable(_person_of(request), workspace, securable, _refused(request, securable))
    try:
        with transaction.atomic():
            request.save(force_insert=True)
    except IntegrityError as error:
        raise AccessRequestOpen(
            f"You have asked for access to {securable.label} already.",
            hint="Withdraw that request to ask for something else.",
        ) from error
    _record(actor, Event.ACCESS_REQUESTED, request)
    return request


@audit.service
def withdraw_request(*, actor: Actor, request: AccessRequest) -> AccessRequest:
    """Take one's own request back. Raises `UnknownAccessRequest`, `AccessRequestDecided`."""
    request = _held(request)
    if request.requester_id != actor.id:
        raise UnknownAccessRequest("Only who asked can withdraw it.")
    return _end(actor, request, RequestState.WITHDRAWN, Event.ACCESS_WITHDRAWN, "")


@audit.service
def decline_request(*, actor: Actor, request: AccessRequest, reason: str) -> AccessRequest:
    """Say no, and why. Raises `AccessDenied`, `AccessRequestDecided`, `Invalid`."""
    request = _held(request)
    authorize(actor, Action.POLICY_PUBLISH, securable_of(request))
    if not reason.strip():
        raise Invalid("To decline a request, say why.", hint="Who asked reads the reason.")
    return _end(actor, request, RequestState.DECLINED, Event.ACCESS_DECLINED, reason)


@audit.service
def grant_request(
    *, actor: Actor, request: AccessRequest, reason: str = "", ends_at: datetime | None = None
) -> AccessRequest:
    """Publish what lets the person do it, until `ends_at` or else the end that they asked for.

    Where the workspace asks for a second person, the policies wait in review. Raises
    `AccessDenied`, `AccessRequestDecided`, `NotGrantable`, and what publishing refuses.
    """
    request = _held(request)
    securable = securable_of(request)
    authorize(actor, Action.POLICY_PUBLISH, securable)
    if request.requester_id == actor.id:
        raise Invalid("Nobody grants their own request.", hint="Ask someone else who may publish.")
    request.ends_at = ends_at or request.ends_at
    check_expiry(request.ends_at)
    versions = [_publish(actor, request, securable, one) for one in drafts_of(request)]
    request.policies = [version.policy.name for version in versions]
    if all(version.state == VersionState.PUBLISHED for version in versions):
        _check_helped(request, securable)
    return _end(actor, request, RequestState.GRANTED, Event.ACCESS_GRANTED, reason)


def visible_requests(actor: Actor, workspace: Workspace) -> QuerySet[AccessRequest]:
    """Return the actor's own requests, and those about what they may publish policies for."""
    rows = AccessRequest.objects.filter(workspace=workspace).select_related(
        "requester", "decided_by", "workspace__organization"
    )
    keys = set(rows.exclude(requester_id=actor.id).values_list("securable_key", flat=True))
    found = inventory.keyed(workspace, keys, with_columns=False)
    asked = [Request(Action.POLICY_PUBLISH, securable) for securable in found.values()]
    allowed = [d.securable_key for d in decide_many(actor, asked) if d.allowed] if asked else []
    return rows.filter(requester_id=actor.id) | rows.filter(securable_key__in=allowed)


def find_request(actor: Actor, workspace: Workspace, request_id: uuid.UUID) -> AccessRequest:
    """Return a request that the actor may see. Raises `UnknownAccessRequest`."""
    found = visible_requests(actor, workspace).filter(id=request_id).first()
    if found is None:
        raise UnknownAccessRequest("There is no such request for access.")
    return found


def securable_of(request: AccessRequest) -> Securable:
    """Return what the request is about. Raises `UnknownAccessRequest` where it is gone."""
    found = inventory.keyed(request.workspace, [request.securable_key], with_columns=False)
    if request.securable_key not in found:
        raise UnknownAccessRequest(
            f"{request.securable_label} is no longer there.", hint="Decline or withdraw it."
        )
    return found[request.securable_key]


def drafts_of(request: AccessRequest) -> list[Draft]:
    """Return the texts that would grant the request as things stand now.

    Where nothing speaks for it, a permit; where policies forbid it, an exception in each of them.
    Raises `NotGrantable`.
    """
    securable, person = securable_of(request), _person_of(request)
    refused = _refused(request, securable)
    forbidding = _check_grantable(person, request.workspace, securable, refused)
    drafts = [
        Draft(policy, policy.name, grants.exception(text, person.label, request.ends_at))
        for policy, text in forbidding
    ]
    missing = [d.action for d in refused if not d.determined_by]
    if missing or not drafts:
        wanted = missing or [Action(action) for action in request.actions]
        text = grants.permit(person.label, wanted, securable)
        drafts.append(Draft(None, f"grant-{request.id.hex[:12]}", text))
    return drafts


def _refused(request: AccessRequest, securable: Securable) -> list[Decision]:
    """Return the decisions that say no to the person now, whichever device they use."""
    asked = [
        Request(action, securable, DecisionContext(place="local" if action in LOCAL else "server"))
        for action in map(Action, request.actions)
    ]
    decisions = decide_many(_person_of(request), asked)
    return [decision for decision in decisions if not decision.allowed]


def _check_grantable(
    person: Actor, workspace: Workspace, securable: Securable, refused: Sequence[Decision]
) -> list[tuple[Policy, str]]:
    """Return the policies that forbid, with their texts; `NotGrantable` where others do."""
    if not refused:
        raise Invalid(
            f"{person.label} may do that with {securable.label} already.",
            hint="Masks and row filters are changed by who publishes policies for it.",
        )
    may_query = decide(person, Action.WORKSPACE_QUERY, securables.workspace(workspace))
    if not may_query.allowed:
        raise NotGrantable(may_query.reason, hint="Ask an owner of the workspace for a role in it.")
    names = {reference.name for decision in refused for reference in decision.determined_by}
    rows = Policy.objects.filter(workspace=workspace, name__in=names, kind=PolicyKind.ACCESS)
    published = PolicyVersion.objects.filter(
        policy__in=rows.filter(broken_because=""), state=VersionState.PUBLISHED
    ).select_related("policy__workspace__organization")
    found = [(version.policy, examination.shown_text(version)) for version in published]
    for decision in refused:
        known = {policy.name for policy, _ in found}
        if other := next((r for r in decision.determined_by if r.name not in known), None):
            raise NotGrantable(other.summary, hint=other.remedy or decision.remedy)
    return found


def _publish(
    actor: Actor, request: AccessRequest, securable: Securable, draft: Draft
) -> PolicyVersion:
    """Draft one text and bring it into force, or submit it where a second person must agree."""
    why = f"{request.requester.email} asked for it: {request.reason}"[:MAX_REASON_LENGTH]
    if draft.policy is None:
        version = policies.create_policy(
            actor=actor,
            workspace=request.workspace,
            name=draft.name,
            kind=PolicyKind.ACCESS,
            scope=securable,
            text=draft.text,
            description=f"Granted to {request.requester.email} on request.",
            reason=why,
            expires_at=request.ends_at,
        )
    else:
        version = policies.draft_version(
            actor=actor, policy=draft.policy, text=draft.text, reason=why
        )
    version = policies.submit_version(
        actor=actor, policy=version.policy, number=version.number, expected=version.etag
    )
    if policies.requires_approval(request.workspace):
        return version
    return policies.publish_policy(
        actor=actor, policy=version.policy, number=version.number, reason=why
    )


def _check_helped(request: AccessRequest, securable: Securable) -> None:
    """Undo a grant that changes nothing: something else forbids it still."""
    if refused := _refused(request, securable):
        raise NotGrantable(
            f"It would still be refused: {refused[0].reason}", hint=refused[0].remedy
        )


def _check_askable(
    actor: Actor,
    securable: Securable,
    actions: Sequence[Action],
    reason: str,
    ends_at: datetime | None,
) -> None:
    if not actor.is_person:
        raise Invalid(
            "A program cannot ask for access.", hint="A person asks, or changes a policy."
        )
    if securable.kind is not SecurableKind.TABLE:
        raise Invalid(f"{securable.label} is not a table.", hint="Ask for a table of it.")
    if not actions or not set(actions) <= ON_TABLES:
        names = ", ".join(sorted(action.value for action in ON_TABLES))
        raise Invalid("Say what you want to do with it.", hint=f"Any of {names}.")
    if not reason.strip() or len(reason) > MAX_REASON_LENGTH:
        raise Invalid(
            "Say what you need it for.", hint=f"In at most {MAX_REASON_LENGTH:,} characters."
        )
    check_expiry(ends_at)


def _person_of(request: AccessRequest) -> Actor:
    user = User.objects.get(id=request.requester_id)
    return actor_for_user(user, device=SOME_DEVICE)


def _held(request: AccessRequest) -> AccessRequest:
    """Return the request, held until the transaction ends, while it is open."""
    rows = AccessRequest.objects.select_for_update(of=("self",))
    found = rows.select_related("requester", "workspace__organization").get(id=request.id)
    if found.state != RequestState.OPEN:
        raise AccessRequestDecided(
            f"The request was {found.state} before.", hint="Load it again to see by whom and why."
        )
    return found


def _end(
    actor: Actor, request: AccessRequest, state: RequestState, event: Event, reason: str
) -> AccessRequest:
    request.state, request.decision_reason = state, reason.strip()
    request.decided_by_id = actor.id if actor.is_person else None
    request.decided_at = timezone.now()
    request.save()
    _record(actor, event, request)
    return request


def _record(actor: Actor, event: Event, request: AccessRequest) -> None:
    where = request.workspace
    named = Target(
        "access_request",
        str(request.id),
        request.securable_label,
        where.organization_id,
        where.id,
    )
    audit.record(
        actor=actor,
        event=event,
        target=named,
        after={
            "requester": str(request.requester_id),
            "securable": request.securable_key,
            "actions": request.actions,
            "reason": request.decision_reason or request.reason,
            "ends_at": request.ends_at.isoformat() if request.ends_at else None,
            "policies": request.policies,
        },
    )


def labels_of(requests: Sequence[AccessRequest]) -> dict[str, str]:
    """Return today's names, by key, of what requests of one workspace are about and is there."""
    if not requests:
        return {}
    keys = {request.securable_key for request in requests}
    found = inventory.keyed(requests[0].workspace, keys, with_columns=False)
    return {key: securable.label for key, securable in found.items()}
