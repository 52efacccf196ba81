"""All policies of a workspace as files: taken out, compared, and applied together or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

from django.db import transaction

from accounts.domain import Actor
from audit import services as audit
from governance import examination, policy_files
from governance.domain import Action, PolicyKind, SecurableKind, VersionState
from governance.models import Policy, PolicyVersion
from governance.policy_files import PolicyFile
from governance.policy_selectors import visible_policies, withheld
from governance.scopes import named_scope, scope_of, scopes_of
from governance.selectors import decide
from governance.services.authorization import AccessDenied
from governance.services.policies import drafts, publishing, review, rows
from problems import Conflict, Problem
from workspaces.models import Workspace

Deed = Literal["change", "create", "retire", "unchanged"]
Outcome = Literal["", "in_review", "published", "retired"]
APPLIED = "Applied from files."


class PolicyFilesRefused(Problem):
    """At least one of the files cannot be applied, so none was; `changes` says which and why."""

    code = "policy-files-refused"
    status = 422
    title = "The files were not applied"


class PolicyFileMoved(Conflict):
    """A file gives a policy another kind or scope than the one of that name has."""

    code = "policy-file-moved"
    title = "A policy keeps its kind and its scope"


@dataclass(frozen=True, slots=True)
class Change:
    """What a file changes, or would, and what keeps it from that."""

    name: str
    deed: Deed
    diff: str = ""
    outcome: Outcome = ""
    problem: dict[str, Any] | None = None


def export_files(actor: Actor, workspace: Workspace) -> list[PolicyFile]:
    """Return what is in force of the policies that the actor may read whole, by name."""
    found = visible_policies(actor, workspace).select_related("workspace__organization")
    versions = list(
        PolicyVersion.objects.filter(policy__in=found, state=VersionState.PUBLISHED).select_related(
            "policy__workspace__organization"
        )
    )
    hidden = withheld(actor, workspace, versions)
    scopes = scopes_of(workspace, [version.policy for version in versions])
    shown = [version for version in versions if version.id not in hidden]
    files = [_file(version, scopes[version.policy.scope_key].label) for version in shown]
    return sorted(files, key=lambda one: one.name)


@audit.service
def apply_files(
    *,
    actor: Actor,
    workspace: Workspace,
    files: Iterable[PolicyFile],
    prune: bool = False,
    dry_run: bool = True,
    reason: str = "",
) -> list[Change]:
    """Make what is in force as the files say, all of it or nothing.

    Each is published where the actor may and no second person is asked for, else submitted for
    review. `prune` retires what is in force and in no file. A dry run does the same, returns what
    each came to, and takes it all back. Raises `PolicyFilesRefused`.
    """
    why = reason.strip() or APPLIED
    wanted = {one.name: one for one in files}
    rows.lock_set(workspace.id)
    with transaction.atomic():
        before = {one.name: one for one in export_files(actor, workspace)}
        gone = sorted(before.keys() - wanted.keys()) if prune else []
        steps = [_retiring(actor, workspace, before[name], why) for name in gone]
        steps += [
            _applying(actor, workspace, before.get(one.name), one, why)
            for one in sorted(wanted.values(), key=lambda one: one.name)
        ]
        attempts = [_attempted(change, step) for change, step in steps]
        if dry_run or any(problem for _, problem in attempts):
            transaction.set_rollback(True)
    changes = [change for change, _ in attempts]
    problems = [problem for _, problem in attempts if problem]
    if problems and not dry_run:
        if all(isinstance(problem, AccessDenied) for problem in problems):
            raise problems[0]
        raise _refused(changes, problems)
    return changes


Step = tuple[Change, Callable[[], Outcome]]


def _attempted(change: Change, step: Callable[[], Outcome]) -> tuple[Change, Problem | None]:
    """Take one step in a savepoint; what it raises is kept beside what it would have changed."""
    if change.deed == "unchanged":
        return change, None
    try:
        with transaction.atomic():
            return replace(change, outcome=step()), None
    except Problem as problem:
        return replace(change, problem=problem.as_dict()), problem


def _applying(
    actor: Actor, workspace: Workspace, before: PolicyFile | None, file: PolicyFile, why: str
) -> Step:
    if before is not None:
        after = replace(file, on=_spelled(before, file, workspace))
        deed: Deed = "unchanged" if _same(before, after) else "change"
    else:
        after, deed = file, "create"
    change = Change(
        file.name, deed, "" if deed == "unchanged" else policy_files.diff(before, after)
    )
    return change, lambda: _apply(actor, workspace, file, why)


def _retiring(actor: Actor, workspace: Workspace, before: PolicyFile, why: str) -> Step:
    def retire() -> Outcome:
        policy = _policy(actor, workspace, before.name)
        assert policy is not None  # noqa: S101 - it was in force when it was exported
        version = rows.open_version(policy)
        if version is not None and version.is_retirement:
            return "in_review"
        version = publishing.retire_policy(actor=actor, policy=policy, reason=why)
        return "retired" if version.state == VersionState.RETIRED else "in_review"

    return Change(before.name, "retire", policy_files.diff(before, None)), retire


def _apply(actor: Actor, workspace: Workspace, file: PolicyFile, why: str) -> Outcome:
    policy = _policy(actor, workspace, file.name)
    if policy is None:
        return _advance(actor, _created(actor, workspace, file, why), why)
    _check_place(actor, workspace, policy, file)
    if (policy.description, policy.expires_at) != (file.description, file.expires_at):
        policy = drafts.change_policy(
            actor=actor,
            policy=policy,
            description=file.description,
            expires_at=file.expires_at if file.expires_at != policy.expires_at else None,
            never_expires=file.expires_at is None and policy.expires_at is not None,
        )
    current = rows.published_version(policy)
    if current is not None and _says(current, file):
        return "published"
    return _advance(actor, _next(actor, policy, file, why), why)


def _created(actor: Actor, workspace: Workspace, file: PolicyFile, why: str) -> PolicyVersion:
    return drafts.create_policy(
        actor=actor,
        workspace=workspace,
        name=file.name,
        kind=file.kind,
        scope=named_scope(actor, workspace, file.on),
        text=file.text,
        tests=file.tests,
        description=file.description,
        reason=why,
        expires_at=file.expires_at,
    )


def _next(actor: Actor, policy: Policy, file: PolicyFile, why: str) -> PolicyVersion:
    """Return the open version that says what the file does; one's own older one makes room."""
    version = rows.open_version(policy)
    if version is not None:
        version.policy = policy
        if _says(version, file) and not version.is_retirement:
            return version
        if version.contributor_ids != [str(actor.id)]:
            drafts.check_nothing_open(policy)
        if version.state == VersionState.IN_REVIEW:
            review.reject_version(
                actor=actor, policy=policy, number=version.number, reason=f"Replaced. {why}"
            )
        else:
            return drafts.change_draft(
                actor=actor, policy=policy, number=version.number, expected=version.etag,
                text=file.text, tests=file.tests, reason=why,
            )  # fmt: skip
    return drafts.draft_version(
        actor=actor, policy=policy, text=file.text, tests=file.tests, reason=why
    )


def _advance(actor: Actor, version: PolicyVersion, why: str) -> Outcome:
    """Publish a version where nobody else must agree, else leave it in review."""
    policy, number = version.policy, version.number
    may = decide(actor, Action.POLICY_PUBLISH, scope_of(policy)).allowed
    if may and (version.is_approved or not rows.requires_approval(policy.workspace)):
        publishing.publish_policy(actor=actor, policy=policy, number=number, reason=why)
        return "published"
    if version.state == VersionState.DRAFT:
        review.submit_version(
            actor=actor, policy=policy, number=number, expected=version.etag, reason=why
        )
    return "in_review"


def _policy(actor: Actor, workspace: Workspace, name: str) -> Policy | None:
    visible = visible_policies(actor, workspace).select_related("workspace__organization")
    return visible.filter(name=name).first()


def _check_place(actor: Actor, workspace: Workspace, policy: Policy, file: PolicyFile) -> None:
    scope = named_scope(actor, workspace, file.on)
    if (policy.kind, policy.scope_key) != (file.kind, scope.key):
        raise PolicyFileMoved(
            f"{policy.name} is a policy of kind {policy.kind} on {scope_of(policy).label}; the "
            f"file says {file.kind} on {scope.label}.",
            hint="Give the file another name; prune retires the policy that is there.",
        )


def _file(version: PolicyVersion, label: str) -> PolicyFile:
    policy = version.policy
    is_workspace = policy.scope_key.startswith(SecurableKind.WORKSPACE.value.lower())
    return PolicyFile(
        name=policy.name,
        kind=PolicyKind(policy.kind),
        text=examination.shown_text(version),
        on="" if is_workspace else label,
        description=policy.description,
        expires_at=policy.expires_at,
        tests=examination.shown_tests(version),
    )


def _spelled(before: PolicyFile, file: PolicyFile, workspace: Workspace) -> str:
    """Return the file's scope as it is in force where only its spelling differs."""
    given = "" if file.on == workspace.slug else file.on
    return before.on if given.lower() == before.on.lower() else given


def _same(before: PolicyFile, after: PolicyFile) -> bool:
    return replace(before, text=before.text.rstrip()) == replace(after, text=after.text.rstrip())


def _says(version: PolicyVersion, file: PolicyFile) -> bool:
    text, tests = examination.shown_text(version), examination.shown_tests(version)
    return (text.rstrip(), tests) == (file.text.rstrip(), file.tests)


def _refused(changes: list[Change], problems: list[Problem]) -> PolicyFilesRefused:
    refused = [change for change in changes if change.problem]
    first = refused[0]
    problem = PolicyFilesRefused(
        f"{len(refused)} of {len(changes)} policies cannot be applied; the first is "
        f"{first.name}: {(first.problem or {})['detail']}",
        hint=str((first.problem or {}).get("hint", "")),
        changes=[{"name": one.name, "deed": one.deed, "problem": one.problem} for one in refused],
    )
    problem.denial = next((one.denial for one in problems if one.denial), None)
    return problem
