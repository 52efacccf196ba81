"""What would hold if a policy's draft were published, or if the policy ended."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from accounts.domain import SYSTEM, Actor
from governance.bundle import Bundle, as_published, bundle_of
from governance.discretion import discretion_for
from governance.domain import Action, Securable, VersionState
from governance.examination import PolicyRefused, shown_text, understand
from governance.impact import Impact, impact, within
from governance.models import Policy, PolicyVersion
from governance.policy_selectors import find_version
from governance.scopes import scope_of
from governance.services.authorization import authorize
from problems import Conflict

OPEN = (VersionState.DRAFT, VersionState.IN_REVIEW)


class NothingProposed(Conflict):
    """The policy has no open version, and nothing else was said that would change anything."""

    code = "nothing-proposed"
    title = "Nothing would change"


@dataclass(frozen=True, slots=True)
class Proposal:
    """A policy as it would be, and what holds without and with it.

    `number` is that of a version that is saved, None for a text that is not, and where the policy
    ends.
    """

    policy: Policy
    scope: Securable
    now: Bundle
    then: Bundle
    number: int | None = None
    text: str = ""
    ends: bool = False


def proposed(
    *,
    actor: Actor,
    policy: Policy,
    text: str | None = None,
    number: int | None = None,
    ends: bool = False,
) -> Proposal:
    """Return what would change with `text`, with a version, or with the end of a policy.

    Without any of them, it is the open version; `number` may name an earlier one, to roll back
    to. Raises `AccessDenied` for whoever may not draft the policy, `NothingProposed`, and
    `PolicyRefused` where the text has errors.
    """
    authorize(actor, Action.POLICY_AUTHOR, scope_of(policy))
    if ends:
        return ending(policy)
    version = _version(policy, number) if text is None else PolicyVersion(policy=policy, text=text)
    if version.is_retirement:
        return replace(ending(policy), number=version.number)
    if text is None:
        version.text, version.references = shown_text(version), []
    return with_version(actor, version, number=version.number if text is None else None)


def ending(policy: Policy) -> Proposal:
    """Return what would change if the policy ended."""
    now = bundle_of(policy.workspace_id)
    return Proposal(policy, scope_of(policy), now, now.without(policy.name), ends=True)


def with_version(actor: Actor, version: PolicyVersion, *, number: int | None = None) -> Proposal:
    """Return what would change with a version, saved or not. Raises `PolicyRefused`."""
    policy = version.policy
    checked = understand(version)
    if errors := [finding for finding in checked.findings if finding.is_error]:
        told = discretion_for(actor, policy.workspace).checked(checked, version.text)
        first = errors[0]
        raise PolicyRefused(
            f"Line {first.line}, column {first.column}: nobody can say yet what it would do.",
            hint="Mend what the findings say.",
            findings=[asdict(finding) for finding in told.findings],
        )
    now = bundle_of(policy.workspace_id)
    then = now.with_policy(replace(as_published(version), broken_because=""))
    return Proposal(policy, scope_of(policy), now, then, number, version.text)


def with_text(policy: Policy, text: str) -> Proposal:
    """Return what would change with a text that was checked before, for nobody in particular."""
    return with_version(SYSTEM, PolicyVersion(policy=policy, text=text))


def impact_of(*, actor: Actor, proposal: Proposal) -> Impact:
    """Return for whom what would change. What the actor may not browse is counted, not named."""
    workspace = proposal.policy.workspace
    return impact(
        workspace=workspace,
        securables=within(workspace, proposal.scope),
        now=proposal.now,
        then=proposal.then,
        reader=actor,
    )


def _version(policy: Policy, number: int | None) -> PolicyVersion:
    if number is not None:
        return find_version(policy, number)
    found = policy.versions.filter(state__in=OPEN).first()
    if found is None:
        raise NothingProposed(
            f"{policy.name} has no draft and nothing in review.",
            hint="Send a text, the number of an earlier version, or say that it ends.",
        )
    found.policy = policy
    return found
