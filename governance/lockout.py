"""Whether anybody could still put a policy right once it holds: its owners, at their best."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace

from accounts.domain import Actor, DeviceIdentity, DeviceStatus
from accounts.models import User
from accounts.selectors import actor_for_user
from governance import securables
from governance.bundle import Bundle
from governance.domain import Action, DecisionContext, Request, Securable
from governance.selectors import decide_many
from workspaces.domain import WorkspaceRole
from workspaces.models import Membership, Workspace

BEST_DEVICE = DeviceIdentity(uuid.UUID(int=2), "an approved device", "", DeviceStatus.APPROVED)
NEEDED = (Action.POLICY_PUBLISH, Action.CATALOG_BROWSE)


def locks_out(workspace: Workspace, scope: Securable, *, now: Bundle, then: Bundle) -> bool:
    """Tell whether every owner who may publish policies for the scope now could not any more.

    Owners are asked with a second factor and an approved device: a policy may ask for both.
    """
    could = [owner for owner in _owners(workspace) if _may(owner, workspace, scope, now)]
    return bool(could) and not any(_may(owner, workspace, scope, then) for owner in could)


def _may(owner: Actor, workspace: Workspace, scope: Securable, bundle: Bundle) -> bool:
    asked = [
        Request(action, securable)
        for action in NEEDED
        for securable in (scope, securables.workspace(workspace))
    ]
    decisions = decide_many(owner, asked, DecisionContext(), bundle=bundle)
    return all(decision.allowed for decision in decisions)


def _owners(workspace: Workspace) -> Iterator[Actor]:
    held = Membership.objects.filter(workspace=workspace, role=WorkspaceRole.OWNER)
    direct = User.objects.filter(id__in=held.values("user_id"))
    through = User.objects.filter(upend_groups__in=held.values("group_id"))
    for user in (direct | through).filter(is_active=True).distinct():
        yield replace(actor_for_user(user), mfa=True, device=BEST_DEVICE)
