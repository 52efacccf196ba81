"""What brings a policy into force and ends it: publish, retire, roll back, expire."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.utils import timezone

from accounts.domain import SYSTEM, Actor
from audit import services as audit
from audit.domain import Event
from governance import examination
from governance.domain import Action, VersionState
from governance.models import Policy, PolicySet, PolicyVersion
from governance.scopes import scope_of
from governance.services.authorization import authorize
from governance.services.policies import drafts, rows
from problems import Conflict, Invalid


class PolicyNeedsApproval(Conflict):
    """The workspace asks that a second person approves the version first."""

    code = "policy-needs-approval"
    title = "The policy is not approved yet"


@audit.service
def publish_policy(
    *,
    actor: Actor,
    policy: Policy,
    number: int,
    expected: str = "",
    reason: str = "",
    break_glass: bool = False,
) -> PolicyVersion:
    """Bring a version into force in place of the one before, after every check is done again.

    `break_glass` does without the second person where the workspace asks for one; it needs a
    reason and is recorded loudly. With `expected`, the etag, only the text that was seen is
    published. Raises `AccessDenied`, `PolicyMovedOn`, `PolicyChangedMeanwhile`,
    `PolicyNeedsApproval`, and `PolicyRefused` with what is wrong and where.
    """
    held, policy = rows.lock_set(policy.workspace_id), rows.lock_policy(policy)
    authorize(actor, Action.POLICY_PUBLISH, scope_of(policy))
    version = rows.version_in(policy, number, VersionState.DRAFT, VersionState.IN_REVIEW)
    if expected:
        rows.check_unchanged(version, expected)
    _check_not_overtaken(version)
    _check_agreed(actor, held, version, reason, break_glass=break_glass)
    if version.is_retirement:
        return _retire(actor, held, version, reason or version.reason)
    return _bring_into_force(actor, held, version, Event.POLICY_PUBLISHED, reason=reason)


@audit.service
def retire_policy(
    *, actor: Actor, policy: Policy, reason: str, break_glass: bool = False
) -> PolicyVersion:
    """End a policy. Where the workspace asks for a second person, ask for review of the end.

    Returns the version that ended, or the one in review whose publication ends the policy: what
    a mask hid is seen again, so its end needs as many people as its beginning. Raises
    `AccessDenied`, `PolicyMovedOn`, `PolicyHasOpenVersion`, `Invalid` without a reason.
    """
    held, policy = rows.lock_set(policy.workspace_id), rows.lock_policy(policy)
    authorize(actor, Action.POLICY_PUBLISH, scope_of(policy))
    current = _in_force(policy)
    rows.check_reason(reason, "retire a policy")
    if held.requires_approval and not break_glass:
        return _ask_to_retire(actor, current, reason)
    if break_glass:
        _break_glass(actor, held, current, reason)
    return _retire(actor, held, current, reason)


@audit.service
def roll_back_policy(
    *,
    actor: Actor,
    policy: Policy,
    reason: str,
    to: int | None = None,
    break_glass: bool = False,
) -> PolicyVersion:
    """Bring an earlier text into force again as a new version, with every check done again.

    `to` is a version that was in force, by default the last before the present one. Where the
    workspace asks for a second person, that version must have been approved by one. Raises what
    `publish_policy` raises.
    """
    held, policy = rows.lock_set(policy.workspace_id), rows.lock_policy(policy)
    authorize(actor, Action.POLICY_PUBLISH, scope_of(policy))
    rows.check_reason(reason, "roll a policy back")
    earlier = _earlier(policy, to)
    version = PolicyVersion(
        policy=policy,
        number=rows.next_number(policy),
        text=examination.shown_text(earlier),
        tests=examination.shown_tests(earlier),
        reason=reason.strip(),
        author_id=rows.person_id(actor),
        contributor_ids=[str(actor.id)],
    )
    if earlier.is_approved and not earlier.is_break_glass:
        version.decided_by_id, version.decided_at = earlier.decided_by_id, earlier.decided_at
        version.decision_reason = f"As version {earlier.number}: {earlier.decision_reason}"
    _check_agreed(actor, held, version, reason, break_glass=break_glass)
    return _bring_into_force(
        actor, held, version, Event.POLICY_ROLLED_BACK, reason=reason, to=earlier.number
    )


def retire_expired() -> int:
    """Retire the policies whose end has passed, each in a transaction; return how many.

    What they grant ends at the time itself, whether this runs or not; what they forbid, mask or
    filter ends here, so that nothing is uncovered without a record.
    """
    due = Policy.objects.filter(
        expires_at__lte=timezone.now(), versions__state=VersionState.PUBLISHED
    )
    return sum(_retire_expired(actor=SYSTEM, policy=policy) for policy in due)


@audit.service
def _retire_expired(*, actor: Actor, policy: Policy) -> bool:
    held, policy = rows.lock_set(policy.workspace_id), rows.lock_policy(policy)
    current = rows.published_version(policy)
    if current is None or policy.expires_at is None or policy.expires_at > timezone.now():
        return False
    of_tenant = replace(actor, organization_id=policy.workspace.organization_id)
    _retire(of_tenant, held, current, f"It expired at {policy.expires_at:%Y-%m-%d %H:%M} UTC.")
    return True


def _bring_into_force(
    actor: Actor, held: PolicySet, version: PolicyVersion, event: Event, **why: Any
) -> PolicyVersion:
    policy = version.policy
    examination.refuse_unfit(version, actor=actor)
    now, before = timezone.now(), rows.published_version(policy)
    if before is not None:
        PolicyVersion.objects.filter(id=before.id).update(
            state=VersionState.SUPERSEDED, ended_at=now
        )
    version.state, version.published_at = VersionState.PUBLISHED, now
    version.published_by_id = rows.person_id(actor)
    version.save()
    # What now has the old name of a renamed scope is another thing, and is denied: see `Bundle`.
    Policy.objects.filter(id=policy.id).update(
        broken_because="", scope_label=scope_of(policy).label
    )
    _raise_version(held)
    audit.record(
        actor=actor,
        event=event,
        target=rows.target(policy),
        before=rows.facts(before),
        after=(rows.facts(version) or {}) | {"policy_set": held.version} | _given(why),
    )
    return version


def _retire(actor: Actor, held: PolicySet, version: PolicyVersion, reason: str) -> PolicyVersion:
    now, policy = timezone.now(), version.policy
    before = rows.published_version(policy)
    ending = policy.versions.filter(state=VersionState.PUBLISHED) | policy.versions.filter(
        id=version.id
    )
    ending.update(state=VersionState.RETIRED, ended_at=now)
    Policy.objects.filter(id=policy.id).update(broken_because="")
    _raise_version(held)
    audit.record(
        actor=actor,
        event=Event.POLICY_RETIRED,
        target=rows.target(policy),
        before=rows.facts(before),
        after={"reason": reason, "policy_set": held.version},
    )
    version.refresh_from_db()
    return version


def _ask_to_retire(actor: Actor, current: PolicyVersion, reason: str) -> PolicyVersion:
    drafts.check_nothing_open(current.policy)
    version = PolicyVersion.objects.create(
        policy=current.policy,
        number=rows.next_number(current.policy),
        is_retirement=True,
        state=VersionState.IN_REVIEW,
        text=current.text,
        tests=current.tests,
        references=current.references,
        summary=f"Ends the policy {current.policy.name}.",
        reason=reason.strip(),
        author_id=rows.person_id(actor),
        contributor_ids=[str(actor.id)],
        submitted_at=timezone.now(),
    )
    audit.record(
        actor=actor,
        event=Event.POLICY_SUBMITTED,
        target=rows.target(current.policy),
        after=rows.facts(version),
    )
    return version


def _check_agreed(
    actor: Actor, held: PolicySet, version: PolicyVersion, reason: str, *, break_glass: bool
) -> None:
    if break_glass:
        _break_glass(actor, held, version, reason)
    elif held.requires_approval and not version.is_approved:
        raise PolicyNeedsApproval(
            f"{version.policy.workspace.name} asks that a second person approves each policy.",
            hint="Submit it for review, or break the glass with a reason if it cannot wait.",
        )


def _break_glass(actor: Actor, held: PolicySet, version: PolicyVersion, reason: str) -> None:
    if not held.requires_approval:
        raise Invalid(
            f"{version.policy.workspace.name} asks for no second person.",
            hint="Publish without breaking the glass.",
        )
    if not actor.is_person:
        raise Invalid("A program cannot break the glass.", hint="Ask a person who may publish it.")
    rows.check_reason(reason, "break the glass")
    version.is_break_glass = True
    if version.pk and not version._state.adding:  # noqa: SLF001 - Django's own word for "unsaved"
        PolicyVersion.objects.filter(id=version.id).update(is_break_glass=True)
    audit.record(
        actor=actor,
        event=Event.POLICY_BREAK_GLASS,
        target=rows.target(version.policy),
        after=(rows.facts(version) or {}) | {"why": reason.strip()},
    )


def _check_not_overtaken(version: PolicyVersion) -> None:
    current = rows.published_version(version.policy)
    if current is not None and current.number > version.number:
        raise rows.PolicyMovedOn(
            f"Version {current.number} of {version.policy.name} came into force after version "
            f"{version.number} was begun.",
            hint="Compare the two, have this one discarded or rejected, and draft again.",
        )


def _in_force(policy: Policy) -> PolicyVersion:
    current = rows.published_version(policy)
    if current is None:
        raise rows.PolicyMovedOn(
            f"No version of {policy.name} is in force.", hint="Discard or delete its draft."
        )
    current.policy = policy
    return current


def _earlier(policy: Policy, to: int | None) -> PolicyVersion:
    ended = (VersionState.SUPERSEDED, VersionState.RETIRED)
    were_in_force = policy.versions.filter(state__in=ended, published_at__isnull=False)
    wanted = were_in_force if to is None else were_in_force.filter(number=to)
    found = wanted.order_by("-published_at").first()
    if found is None:
        which = "no earlier version" if to is None else f"no version {to}"
        raise rows.PolicyMovedOn(
            f"{policy.name} has {which} that was in force.",
            hint="Only a version that was in force, and no longer is, can be rolled back to.",
        )
    return found


def _raise_version(held: PolicySet) -> None:
    held.version += 1
    held.save(update_fields=["version"])


def _given(why: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in why.items() if value}
