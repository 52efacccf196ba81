"""Writes of governance, and the one call by which every room refuses: `authorize`."""

from __future__ import annotations

import re

from accounts.domain import Actor, PrincipalKind
from accounts.models import User
from audit import services as audit
from audit.domain import Event
from governance import selectors
from governance.domain import Action, Decision, DecisionContext, Securable, SecurableKind
from governance.models import Ownership, TagAssignment
from governance.securables import target
from governance.selectors import decide, decide_many, tags_of
from problems import Invalid, Problem

__all__ = [
    "AccessDenied",
    "assign_tag",
    "authorize",
    "decide",
    "decide_many",
    "denied",
    "remove_tag",
    "set_owner",
    "tags_of",
]

TAG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
MAX_TAG_LENGTH = 60


class AccessDenied(Problem):
    """The actor may see the thing but not do this to it; carries the decision."""

    code = "access-denied"
    status = 403
    title = "Not allowed"


def authorize(
    actor: Actor,
    action: Action,
    securable: Securable,
    context: DecisionContext | None = None,
) -> Decision:
    """Return the decision when it allows, raise `AccessDenied` when it does not.

    The refusal is recorded in the ledger: by the service around this call once it has rolled
    back, else by the surface that shows the problem.
    """
    decision = decide(actor, action, securable, context)
    if not decision.allowed:
        raise denied(actor, decision, securable)
    return decision


def denied(actor: Actor, decision: Decision, securable: Securable) -> AccessDenied:
    """Return the problem for a `decision` that was already made and does not allow."""
    owner = selectors.contact_of(securable)
    problem = AccessDenied(
        decision.reason,
        hint=decision.remedy,
        decision=decision.as_dict(),
        owner={"name": owner.name, "email": owner.email} if owner else None,
    )
    problem.denial = audit.Denial(
        actor, Event.DECISION_DENIED, target(securable), decision.as_dict()
    )
    return problem


@audit.service
def assign_tag(*, actor: Actor, securable: Securable, tag: str) -> TagAssignment:
    """Put `tag` on the securable; everything below it inherits the tag.

    Raises `AccessDenied`, or `Invalid` for a tag that is not lower-case words joined by hyphens.
    """
    authorize(actor, Action.TABLE_TAG, securable)
    _check_tag(tag)
    before = selectors.assigned_tags_of([securable])[securable.key]
    assignment, _ = TagAssignment.objects.get_or_create(
        securable_key=securable.key,
        tag=tag,
        defaults={
            "organization_id": securable.organization_id,
            "assigned_by_id": actor.id if actor.kind is PrincipalKind.USER else None,
        },
    )
    audit.record(
        actor=actor,
        event=Event.TAG_ASSIGNED,
        target=target(securable),
        before=sorted(before),
        after=sorted(before | {tag}),
    )
    return assignment


@audit.service
def remove_tag(*, actor: Actor, securable: Securable, tag: str) -> None:
    """Take `tag` off the securable itself; an inherited one is taken off where it was put.

    Raises `AccessDenied`, or `Invalid` where the securable does not bear the tag itself.
    """
    authorize(actor, Action.TABLE_TAG, securable)
    before = selectors.assigned_tags_of([securable])[securable.key]
    if tag not in before:
        raise Invalid(
            f"{securable.label} does not itself bear the tag {tag!r}.",
            hint="An inherited tag is removed from the catalog or workspace that bears it.",
        )
    TagAssignment.objects.filter(securable_key=securable.key, tag=tag).delete()
    audit.record(
        actor=actor,
        event=Event.TAG_REMOVED,
        target=target(securable),
        before=sorted(before),
        after=sorted(before - {tag}),
    )


@audit.service
def set_owner(*, actor: Actor, securable: Securable, owner: User) -> Ownership:
    """Make `owner` the person who answers for the securable; refusals name them.

    Raises `AccessDenied`, or `Invalid` for someone of another organization.
    """
    authorize(actor, _managing(securable), securable)
    if owner.organization_id != securable.organization_id:
        raise Invalid(
            f"{owner.email} does not belong to the organization of {securable.label}.",
            hint="Choose a person of the same organization.",
        )
    before = selectors.owners_of([securable]).get(securable.key)
    ownership, _ = Ownership.objects.update_or_create(
        securable_key=securable.key,
        defaults={"organization_id": securable.organization_id, "owner": owner},
    )
    audit.record(
        actor=actor,
        event=Event.OWNER_CHANGED,
        target=target(securable),
        before=before.email if before else None,
        after=owner.email,
    )
    return ownership


def _managing(securable: Securable) -> Action:
    if securable.kind in {SecurableKind.CATALOG, SecurableKind.TABLE}:
        return Action.CATALOG_MANAGE
    return Action.WORKSPACE_MANAGE


def _check_tag(tag: str) -> None:
    if len(tag) > MAX_TAG_LENGTH or not TAG.fullmatch(tag):
        raise Invalid(
            f"{tag!r} is not a tag.",
            hint="Use lower-case letters and digits, words joined by hyphens: personal-data.",
        )
