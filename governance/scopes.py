"""Where policies hold: from the name an author writes, or the key kept of it, to a securable."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from accounts.domain import Actor
from governance import inventory, securables
from governance.domain import Action, Request, Securable, SecurableKind
from governance.models import Policy
from governance.selectors import decide_many
from problems import NotFound
from workspaces.models import Workspace

KINDS = {kind.value.lower(): kind for kind in SecurableKind}


class UnknownScope(NotFound):
    """Nothing in the workspace has the name, or the actor may not know that it has."""

    code = "unknown-scope"
    title = "There is nothing of that name"


def scope_of(policy: Policy) -> Securable:
    """Return what the policy holds for; what is gone stands below the workspace, as last named."""
    return scopes_of(policy.workspace, [policy])[policy.scope_key]


def scopes_of(workspace: Workspace, policies: Iterable[Policy]) -> dict[str, Securable]:
    """Return what policies of a workspace hold for, by key, each found once."""
    labels = {policy.scope_key: policy.scope_label for policy in policies}
    found = inventory.keyed(workspace, labels, with_columns=False)
    gone = {key: _gone(workspace, key, labels[key]) for key in labels.keys() - found.keys()}
    return found | gone


def named_scope(actor: Actor, workspace: Workspace, label: str) -> Securable:
    """Return the workspace for an empty label or its own, else the catalog or table of that name.

    Raises `UnknownScope` where there is none that the actor may browse or write policies for.
    """
    if label in {"", workspace.slug}:
        return securables.workspace(workspace)
    found = inventory.named(workspace, [label]).get(label)
    if found is not None and found.key in _known_to(actor, [found]):
        return found
    raise UnknownScope(
        f"There is no catalog or table {label!r} in {workspace.name} that you may browse.",
        hint=_suggestion(actor, workspace, label)
        or f"Write {workspace.slug}, a catalog, or catalog.schema.table.",
    )


def known_keys(actor: Actor, wanted: Iterable[Securable]) -> frozenset[str]:
    """Return the keys of those securables that the actor may know of, by one batch decision."""
    return _known_to(actor, list(wanted))


def _known_to(actor: Actor, wanted: list[Securable]) -> frozenset[str]:
    asked = [
        Request(action, securable)
        for securable in wanted
        for action in (Action.CATALOG_BROWSE, Action.POLICY_AUTHOR)
    ]
    decisions = decide_many(actor, asked)
    return frozenset(d.securable_key for d in decisions if d.allowed)


def _suggestion(actor: Actor, workspace: Workspace, label: str) -> str:
    near = get_close_matches(label.lower(), inventory.labels(workspace), n=3)
    known = inventory.named(workspace, near)
    keys = _known_to(actor, list(known.values()))
    names = [name for name in near if name in known and known[name].key in keys]
    return f"Did you mean {' or '.join(names)}?" if names else ""


def _gone(workspace: Workspace, key: str, label: str) -> Securable:
    parent = securables.workspace(workspace)
    kind = KINDS.get(key.partition(":")[0], SecurableKind.TABLE)
    return Securable(kind, key, label, parent.organization_id, parent.workspace_id, parent)
