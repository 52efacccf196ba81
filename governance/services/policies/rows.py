"""What every step in a policy's life does with its rows: lock them, name them, number them."""

from __future__ import annotations

import hashlib
from typing import Any
from uuid import UUID

from accounts.domain import Actor
from audit.services import Target
from governance.domain import VersionState
from governance.models import Policy, PolicySet, PolicyVersion
from problems import Conflict, Invalid, Problem
from workspaces.models import Workspace

OPEN = (VersionState.DRAFT, VersionState.IN_REVIEW)


class PolicyMovedOn(Conflict):
    """The policy is not where this step begins: somebody else was quicker, or it comes later."""

    code = "policy-moved-on"
    title = "The policy is not in that state"


class PolicyChangedMeanwhile(Problem):
    """Somebody changed the draft since it was read; both texts are in the answer, none is lost."""

    code = "policy-changed-meanwhile"
    status = 412
    title = "The draft has changed meanwhile"


def lock_set(workspace_id: UUID) -> PolicySet:
    """Return the workspace's policy set, held until the transaction ends: publishers take turns."""
    PolicySet.objects.get_or_create(workspace_id=workspace_id)
    return PolicySet.objects.select_for_update().get(workspace_id=workspace_id)


def lock_policy(policy: Policy) -> Policy:
    """Return the policy as it is now, held until the transaction ends.

    Raises `PolicyMovedOn` where it was deleted.
    """
    rows = Policy.objects.select_related("workspace__organization").select_for_update(of=("self",))
    found = rows.filter(id=policy.id).first()
    if found is None:
        raise PolicyMovedOn(f"The policy {policy.name} was deleted meanwhile.")
    return found


def requires_approval(workspace: Workspace) -> bool:
    """Tell whether the workspace asks for a second person."""
    return PolicySet.objects.filter(workspace=workspace, requires_approval=True).exists()


def open_version(policy: Policy) -> PolicyVersion | None:
    """Return the policy's draft or what is in review; a policy has one at most."""
    return policy.versions.filter(state__in=OPEN).first()


def published_version(policy: Policy) -> PolicyVersion | None:
    """Return the version that is in force, None where none is."""
    return policy.versions.filter(state=VersionState.PUBLISHED).first()


def version_in(policy: Policy, number: int, *states: VersionState) -> PolicyVersion:
    """Return one version, which must be in one of `states`. Raises `PolicyMovedOn`."""
    version = policy.versions.filter(number=number).first()
    if version is None:
        raise PolicyMovedOn(
            f"The policy {policy.name} has no version {number}.",
            hint="Load the policy again: its draft may have been discarded.",
        )
    version.policy = policy
    if version.state not in states:
        wanted = " or ".join(said(state) for state in states)
        raise PolicyMovedOn(
            f"Version {number} of {policy.name} is {said(VersionState(version.state))}; "
            f"this needs one that is {wanted}.",
            hint="Load the policy again to see where it stands.",
            state=version.state,
        )
    return version


def next_number(policy: Policy) -> int:
    """Return the number of the policy's next version."""
    newest = policy.versions.order_by("-number").values_list("number", flat=True).first()
    return (newest or 0) + 1


def check_unchanged(version: PolicyVersion, expected: str, **yours: object) -> None:
    """Refuse a step by someone who saw another text.

    Raises `PolicyChangedMeanwhile` with the text as it is and what was sent.
    """
    if version.etag == expected:
        return
    raise PolicyChangedMeanwhile(
        f"Version {version.number} of {version.policy.name} was changed after you read it.",
        hint="Compare `current` with what you sent (`yours`), then send again with the new etag.",
        current={
            "number": version.number,
            "etag": version.etag,
            "state": version.state,
            "text": version.text,
            "tests": version.tests,
            "changed_at": version.updated_at.isoformat(),
        },
        yours={name: value for name, value in yours.items() if value is not None},
    )


def check_reason(reason: str, deed: str) -> None:
    """Ask for a reason where the ledger must have one. Raises `Invalid`."""
    if not reason.strip():
        raise Invalid(f"To {deed}, say why.", hint="Give a `reason`; it is kept in the ledger.")


def person_id(actor: Actor) -> UUID | None:
    """Return the id of the person who acts, None for a program."""
    return actor.id if actor.is_person else None


def contribute(version: PolicyVersion, actor: Actor) -> None:
    """Note that `actor` had a hand in the text, so that someone else must approve it."""
    version.contributor_ids = sorted({*version.contributor_ids, str(actor.id)})


def target(policy: Policy) -> Target:
    """Return a policy as the target of an event."""
    where = policy.workspace
    return Target("policy", str(policy.id), policy.name, where.organization_id, where.id)


def facts(version: PolicyVersion | None) -> dict[str, Any] | None:
    """Return what the ledger keeps of a version: its digest and sentence, not its whole text."""
    if version is None:
        return None
    return {
        "version": version.number,
        "state": version.state,
        "text_sha256": hashlib.sha256(version.text.encode()).hexdigest(),
        "summary": version.summary,
        "reason": version.reason,
    }


def said(state: VersionState) -> str:
    """Return a state as people say it."""
    return {VersionState.DRAFT: "a draft"}.get(state, state.value.replace("_", " "))
