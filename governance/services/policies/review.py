"""A second pair of eyes: versions submitted, approved, rejected; whether that is asked for."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from accounts.domain import Actor
from audit import services as audit
from audit import targets
from audit.domain import Event
from governance import examination, securables
from governance.domain import Action, VersionState
from governance.models import Policy, PolicySet, PolicyVersion
from governance.scopes import scope_of
from governance.services.authorization import authorize
from governance.services.policies import rows
from problems import Problem
from workspaces.models import Workspace


class PolicyNeedsSecondPerson(Problem):
    """Who wrote or submitted a version may not approve it, and no program may."""

    code = "policy-needs-second-person"
    status = 403
    title = "Someone else must approve it"


@audit.service
def submit_version(
    *, actor: Actor, policy: Policy, number: int, expected: str, reason: str = ""
) -> PolicyVersion:
    """Ask for review of a draft; its text is not changed from here on.

    Raises `AccessDenied`, `PolicyMovedOn`, `PolicyChangedMeanwhile`, `PolicyRefused` where the
    text has errors: nobody should review what cannot be published.
    """
    policy = rows.lock_policy(policy)
    authorize(actor, Action.POLICY_AUTHOR, scope_of(policy))
    version = rows.version_in(policy, number, VersionState.DRAFT)
    rows.check_unchanged(version, expected)
    examination.refuse_unfit(version, actor=actor)
    version.state, version.submitted_at = VersionState.IN_REVIEW, timezone.now()
    version.reason = reason.strip() or version.reason
    rows.contribute(version, actor)
    version.save()
    _record(actor, Event.POLICY_SUBMITTED, version)
    return version


@audit.service
def approve_version(*, actor: Actor, policy: Policy, number: int, reason: str) -> PolicyVersion:
    """Agree to a version in review, as a second person; it may be published then.

    Raises `AccessDenied`, `PolicyMovedOn`, `PolicyNeedsSecondPerson`, `Invalid` without a reason.
    """
    policy = rows.lock_policy(policy)
    authorize(actor, Action.POLICY_PUBLISH, scope_of(policy))
    version = rows.version_in(policy, number, VersionState.IN_REVIEW)
    if version.is_approved:
        raise rows.PolicyMovedOn(
            f"Version {number} of {policy.name} is already approved.", hint="Publish it."
        )
    _check_second_person(actor, version)
    rows.check_reason(reason, "approve a policy")
    _decide(actor, version, reason)
    version.save()
    _record(actor, Event.POLICY_APPROVED, version, decision_reason=reason)
    return version


@audit.service
def reject_version(*, actor: Actor, policy: Policy, number: int, reason: str) -> PolicyVersion:
    """Send a version in review back; who wrote it may withdraw it so. Its text stays readable.

    Raises `AccessDenied`, `PolicyMovedOn`, `Invalid` without a reason.
    """
    policy = rows.lock_policy(policy)
    version = rows.version_in(policy, number, VersionState.IN_REVIEW)
    is_own = str(actor.id) in version.contributor_ids
    authorize(actor, Action.POLICY_AUTHOR if is_own else Action.POLICY_PUBLISH, scope_of(policy))
    rows.check_reason(reason, "reject a policy")
    _decide(actor, version, reason)
    version.state, version.ended_at = VersionState.REJECTED, timezone.now()
    version.save()
    _record(actor, Event.POLICY_REJECTED, version, decision_reason=reason)
    return version


@audit.service
def set_requires_approval(*, actor: Actor, workspace: Workspace, required: bool) -> PolicySet:
    """Say whether a second person must approve each policy of the workspace.

    What is in review when it is switched off may be published without. Raises `AccessDenied`.
    """
    authorize(actor, Action.WORKSPACE_MANAGE, securables.workspace(workspace))
    held = rows.lock_set(workspace.id)
    before, held.requires_approval = held.requires_approval, required
    held.save(update_fields=["requires_approval"])
    audit.record(
        actor=actor,
        event=Event.POLICY_SETTINGS_CHANGED,
        target=targets.workspace(workspace),
        before={"requires_approval": before},
        after={"requires_approval": required},
    )
    return held


def _check_second_person(actor: Actor, version: PolicyVersion) -> None:
    if not actor.is_person:
        raise PolicyNeedsSecondPerson(
            "A program cannot approve a policy.", hint="Ask a person who may publish it."
        )
    if str(actor.id) in version.contributor_ids:
        raise PolicyNeedsSecondPerson(
            f"You wrote or submitted version {version.number} of {version.policy.name} yourself.",
            hint="Ask someone else who may publish policies for it.",
        )


def _decide(actor: Actor, version: PolicyVersion, reason: str) -> None:
    version.decided_by_id, version.decided_at = rows.person_id(actor), timezone.now()
    version.decision_reason = reason.strip()


def _record(actor: Actor, event: Event, version: PolicyVersion, **more: Any) -> None:
    audit.record(
        actor=actor,
        event=event,
        target=rows.target(version.policy),
        after=(rows.facts(version) or {}) | more,
    )
