"""Texts that hold nothing yet: policies begun, drafts changed, discarded, deleted."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction

from accounts.domain import Actor
from audit import services as audit
from audit.domain import Event
from governance import examination
from governance.domain import Action, PolicyKind, Securable, VersionState
from governance.models import Policy, PolicyVersion
from governance.scopes import scope_of
from governance.services.authorization import authorize
from governance.services.policies import limits, rows
from problems import Conflict
from workspaces.models import Workspace


class PolicyNameTaken(Conflict):
    """Another policy of the workspace bears the name."""

    code = "policy-name-taken"
    title = "The name is taken"


class PolicyHasOpenVersion(Conflict):
    """The policy already has a draft, or a version in review."""

    code = "policy-has-open-version"
    title = "The policy already has a draft"


@audit.service
def create_policy(
    *,
    actor: Actor,
    workspace: Workspace,
    name: str,
    kind: PolicyKind,
    scope: Securable,
    text: str = "",
    tests: limits.Tests = (),
    description: str = "",
    reason: str = "",
    expires_at: datetime | None = None,
) -> PolicyVersion:
    """Begin a policy with its first draft, which holds nothing until it is published.

    The text may be wrong or unfinished. Raises `AccessDenied`, `Invalid`, `PolicyNameTaken`.
    """
    authorize(actor, Action.POLICY_AUTHOR, scope)
    limits.check_scope(workspace, scope)
    limits.check_name(name)
    limits.check_expiry(expires_at)
    policy = Policy(
        workspace=workspace,
        name=name,
        kind=PolicyKind(kind),
        scope_key=scope.key,
        scope_label=scope.label,
        description=description.strip(),
        expires_at=expires_at,
        created_by_id=rows.person_id(actor),
    )
    _store(policy)
    version = _new_draft(actor, policy, text, tests, reason)
    audit.record(
        actor=actor,
        event=Event.POLICY_CREATED,
        target=rows.target(policy),
        after=_policy_facts(policy) | (rows.facts(version) or {}),
    )
    return version


@audit.service
def draft_version(
    *,
    actor: Actor,
    policy: Policy,
    text: str | None = None,
    tests: limits.Tests | None = None,
    reason: str = "",
) -> PolicyVersion:
    """Open the next version; what is not given is as in the newest version, with today's names.

    Raises `AccessDenied`, `PolicyHasOpenVersion`.
    """
    policy = rows.lock_policy(policy)
    authorize(actor, Action.POLICY_AUTHOR, scope_of(policy))
    check_nothing_open(policy)
    newest = rows.published_version(policy) or policy.versions.first()
    before = newest or PolicyVersion(policy=policy)
    version = _new_draft(
        actor,
        policy,
        examination.shown_text(before) if text is None else text,
        examination.shown_tests(before) if tests is None else tests,
        reason,
    )
    _record(actor, Event.POLICY_DRAFTED, version, before=None)
    return version


@audit.service
def change_draft(
    *,
    actor: Actor,
    policy: Policy,
    number: int,
    expected: str,
    text: str | None = None,
    tests: limits.Tests | None = None,
    reason: str | None = None,
) -> PolicyVersion:
    """Change what is given of a draft, which must still be as `expected`, its etag, names it.

    Raises `AccessDenied`, `PolicyMovedOn`, `PolicyChangedMeanwhile`, `Invalid`.
    """
    policy = rows.lock_policy(policy)
    authorize(actor, Action.POLICY_AUTHOR, scope_of(policy))
    version = rows.version_in(policy, number, VersionState.DRAFT)
    rows.check_unchanged(version, expected, text=text, tests=tests, reason=reason)
    before = rows.facts(version)
    _write(
        actor,
        version,
        examination.shown_text(version) if text is None else text,
        version.tests if tests is None else tests,
        version.reason if reason is None else reason,
    )
    _record(actor, Event.POLICY_DRAFTED, version, before=before)
    return version


@audit.service
def discard_draft(*, actor: Actor, policy: Policy, number: int, expected: str) -> None:
    """Throw a draft away; the ledger keeps its text. A policy of nothing else goes with it.

    Raises `AccessDenied`, `PolicyMovedOn`, `PolicyChangedMeanwhile`.
    """
    policy = rows.lock_policy(policy)
    authorize(actor, Action.POLICY_AUTHOR, scope_of(policy))
    version = rows.version_in(policy, number, VersionState.DRAFT)
    rows.check_unchanged(version, expected)
    before = (rows.facts(version) or {}) | {"text": version.text}
    audit.record(
        actor=actor, event=Event.POLICY_DISCARDED, target=rows.target(policy), before=before
    )
    version.delete()
    if not policy.versions.exists():
        _delete(actor, policy)


@audit.service
def delete_policy(*, actor: Actor, policy: Policy) -> None:
    """Remove a policy that never held; one that did is retired, and its history kept.

    Raises `AccessDenied`, `PolicyMovedOn`.
    """
    policy = rows.lock_policy(policy)
    authorize(actor, Action.POLICY_AUTHOR, scope_of(policy))
    limits.check_never_published(policy, "deleted")
    _delete(actor, policy)


@audit.service
def change_policy(
    *,
    actor: Actor,
    policy: Policy,
    name: str | None = None,
    description: str | None = None,
    expires_at: datetime | None = None,
    never_expires: bool = False,
) -> Policy:
    """Change what is given of what stands around the text.

    The name and the end are fixed once a version was submitted: reviewers saw them. Raises
    `AccessDenied`, `Invalid`, `PolicyNameTaken`, `PolicyMovedOn`.
    """
    policy = rows.lock_policy(policy)
    authorize(actor, Action.POLICY_AUTHOR, scope_of(policy))
    before = _policy_facts(policy)
    if description is not None:
        policy.description = description.strip()
    if name not in {None, policy.name}:
        limits.check_never_submitted(policy, "name")
        limits.check_name(name or "")
        policy.name = name or ""
    if never_expires or expires_at is not None:
        limits.check_never_submitted(policy, "end")
        limits.check_expiry(expires_at)
        policy.expires_at = None if never_expires else expires_at
    _store(policy)
    audit.record(
        actor=actor,
        event=Event.POLICY_CHANGED,
        target=rows.target(policy),
        before=before,
        after=_policy_facts(policy),
    )
    return policy


def check_nothing_open(policy: Policy) -> None:
    """Refuse to open a second version beside one that is open. Raises `PolicyHasOpenVersion`."""
    if (version := rows.open_version(policy)) is not None:
        state = rows.said(VersionState(version.state))
        raise PolicyHasOpenVersion(
            f"Version {version.number} of {policy.name} is {state}.",
            hint="Change that one, or have it discarded or rejected first.",
            number=version.number,
            state=version.state,
        )


def _new_draft(
    actor: Actor, policy: Policy, text: str, tests: limits.Tests, reason: str
) -> PolicyVersion:
    version = PolicyVersion(policy=policy, number=rows.next_number(policy))
    _write(actor, version, text, tests, reason)
    return version


def _write(
    actor: Actor, version: PolicyVersion, text: str, tests: limits.Tests, reason: str
) -> None:
    limits.check_size(text, tests)
    if text != version.text:
        version.text, version.references = text, []
    version.tests, version.reason = list(tests), reason.strip()
    version.author_id = rows.person_id(actor)
    rows.contribute(version, actor)
    examination.understand(version)
    version.save()


def _store(policy: Policy) -> None:
    try:
        with transaction.atomic():
            policy.save()
    except IntegrityError as error:
        raise PolicyNameTaken(
            f"The workspace has a policy named {policy.name!r}.", hint="Choose another name."
        ) from error


def _delete(actor: Actor, policy: Policy) -> None:
    audit.record(
        actor=actor,
        event=Event.POLICY_DELETED,
        target=rows.target(policy),
        before=_policy_facts(policy),
    )
    policy.delete()


def _record(
    actor: Actor, event: Event, version: PolicyVersion, *, before: dict[str, Any] | None
) -> None:
    audit.record(
        actor=actor,
        event=event,
        target=rows.target(version.policy),
        before=before,
        after=rows.facts(version),
    )


def _policy_facts(policy: Policy) -> dict[str, Any]:
    return {
        "name": policy.name,
        "kind": policy.kind,
        "scope": policy.scope_label,
        "description": policy.description,
        "expires_at": policy.expires_at.isoformat() if policy.expires_at else None,
    }
