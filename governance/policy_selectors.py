"""Reads of policies by who asks: none tells of what its reader may not browse."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone

from accounts.domain import Actor
from governance import inventory, securables
from governance.domain import Action
from governance.models import Policy, PolicyReplay, PolicyVersion
from governance.scopes import known_keys, scope_of, scopes_of
from governance.selectors import decide
from problems import NotFound
from workspaces.models import Workspace

LOUD = timedelta(days=7)
"""How long lists show that a policy was published by breaking the glass."""


class UnknownPolicy(NotFound):
    """There is no such policy, or the actor may not know that there is."""

    code = "unknown-policy"
    title = "There is no such policy"


class UnknownPolicyVersion(NotFound):
    """The policy has no version of that number."""

    code = "unknown-policy-version"
    title = "There is no such version"


class UnknownReplay(NotFound):
    """The policy has no such replay, or the actor may not draft the policy."""

    code = "unknown-replay"
    title = "There is no such replay"


def find_replay(actor: Actor, policy: Policy, replay_id: UUID) -> PolicyReplay:
    """Return one replay to whoever may draft its policy. Raises `UnknownReplay`."""
    found = policy.replays.select_related("policy__workspace__organization").filter(id=replay_id)
    replay = found.first()
    if replay is None or not decide(actor, Action.POLICY_AUTHOR, scope_of(policy)).allowed:
        raise UnknownReplay(f"The policy {policy.name} has no replay {replay_id} for you.")
    return replay


def visible_policies(actor: Actor, workspace: Workspace) -> QuerySet[Policy]:
    """Return the policies whose scope the actor may browse or write policies for.

    Who may read the workspace's ledger reads all. The number of queries does not grow with them.
    """
    everything = Policy.objects.filter(workspace=workspace).select_related("created_by")
    if reads_everything(actor, workspace):
        return everything
    scopes = scopes_of(workspace, everything)
    return everything.filter(scope_key__in=known_keys(actor, scopes.values()))


def find_policy(actor: Actor, workspace: Workspace, reference: str) -> Policy:
    """Return the policy that a name or an id names to the actor. Raises `UnknownPolicy`."""
    visible = visible_policies(actor, workspace).select_related("workspace__organization")
    found = visible.filter(name=reference).first()
    if found is None and (key := _uuid(reference)) is not None:
        found = visible.filter(id=key).first()
    if found is None:
        raise UnknownPolicy(
            f"There is no policy {reference!r} in {workspace.name} that you may see.",
            hint=f"GET /api/v1/workspaces/{workspace.slug}/policies lists them.",
        )
    return found


def find_version(policy: Policy, number: int) -> PolicyVersion:
    """Return one version of the policy. Raises `UnknownPolicyVersion`."""
    rows = policy.versions.select_related("author", "decided_by", "published_by")
    found = rows.filter(number=number).first()
    if found is None:
        raise UnknownPolicyVersion(f"The policy {policy.name} has no version {number}.")
    found.policy = policy
    return found


def reads_everything(actor: Actor, workspace: Workspace) -> bool:
    """Tell whether the actor may read every policy of the workspace: as its auditors do."""
    return decide(actor, Action.AUDIT_READ, securables.workspace(workspace)).allowed


def withheld(
    actor: Actor, workspace: Workspace, versions: Sequence[PolicyVersion]
) -> frozenset[UUID]:
    """Return the ids of the versions whose text names something that the actor may not browse."""
    if not versions or reads_everything(actor, workspace):
        return frozenset()
    keys = {version.id: _named_keys(version) for version in versions}
    labels = {version.id: _tested_labels(version) for version in versions}
    by_key = inventory.keyed(workspace, set().union(*keys.values()), with_columns=False)
    by_label = inventory.named(workspace, set().union(*labels.values()))
    known = known_keys(actor, {s.key: s for s in (*by_key.values(), *by_label.values())}.values())
    return frozenset(
        version.id
        for version in versions
        if any(key in by_key and key not in known for key in keys[version.id])
        or any(s in by_label and by_label[s].key not in known for s in labels[version.id])
    )


def is_loud(version: PolicyVersion | None) -> bool:
    """Tell whether lists still show that the version was published by breaking the glass."""
    at = version.published_at if version and version.is_break_glass else None
    return at is not None and at > timezone.now() - LOUD


def _named_keys(version: PolicyVersion) -> set[str]:
    """Return the keys of the catalogs and tables that a text names, for columns their tables'."""
    found: set[str] = set()
    for reference in version.references:
        for key in map(str, (reference["key"], *reference.get("keys", ()))):
            kind, _, identifier = key.partition(":")
            if kind == "column":
                found.add(f"table:{identifier.rpartition('/')[0]}")
            elif kind in {"catalog", "table"}:
                found.add(key)
    return found


def _tested_labels(version: PolicyVersion) -> set[str]:
    return {str(t["on"]) for t in _mappings(version.tests) if t.get("on")}


def _mappings(items: Iterable[object]) -> Iterable[dict[str, object]]:
    return (item for item in items if isinstance(item, dict))


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
