"""Policies whose names lead nowhere any more: marked, so that they deny and their owners see it.

A decision never trusts the mark alone: columns that a table lacks, and tables that took another's
name, are found when somebody asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.db.models import F, QuerySet
from django.db.models.signals import post_delete

from accounts.domain import SYSTEM
from accounts.models import Group, ServiceAccount, User
from audit import services as audit
from audit.domain import Event
from audit.services import Target
from governance import inventory, naming
from governance.domain import VersionState
from governance.models import Policy, PolicySet, PolicyVersion, TagDefinition
from workspaces.models import Workspace

ACCOUNTS = {Group: "group", ServiceAccount: "service_account", User: "user"}
SHOWN_KINDS = {"service_account": "service account", "user": "person"}


def watch() -> None:
    """Mark policies in the transaction that deletes what they name, whoever deletes it."""
    for model in (*ACCOUNTS, TagDefinition):
        post_delete.connect(_deleted, sender=model, dispatch_uid=f"broken-by-{model.__name__}")


def governed_workspaces() -> QuerySet[Workspace]:
    """Return the workspaces in which a policy holds."""
    holding = PolicyVersion.objects.filter(state=VersionState.PUBLISHED)
    rows = Workspace.objects.filter(id__in=holding.values("policy__workspace_id"))
    return rows.select_related("organization")


def recheck(workspace: Workspace) -> list[Policy]:
    """Mark the workspace's policies that name what is gone; return those newly marked.

    Called where tables or catalogs may have gone. What comes back, as a tag may, mends a policy.
    """
    with transaction.atomic():
        marked = [
            version.policy
            for version in _published().filter(policy__workspace=workspace)
            if _mark(version.policy, _missing(workspace, version))
        ]
    return [policy for policy in marked if policy.broken_because]


def _missing(workspace: Workspace, version: PolicyVersion) -> str:
    """Return what a published text names in vain, as a sentence; nothing where all is there."""
    scope_key = version.policy.scope_key
    if not inventory.keyed(workspace, [scope_key]):
        return f"{version.policy.scope_label}, for which it holds, is gone."
    gone = naming.missing(workspace, version.references)
    if not version.policy.broken_because:
        # A tag that nothing bears any more is no loss; one whose definition was deleted was noted.
        gone = [one for one in gone if one["kind"] != "tag"]
    return _said(gone)


def _said(gone: Sequence[Any]) -> str:
    names = [f"the {SHOWN_KINDS.get(o['kind'], o['kind'])} {o['name']}" for o in gone]
    names = list(dict.fromkeys(names))
    return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} gone." if names else ""


def _deleted(sender: type[Any], instance: Any, **_: object) -> None:
    if isinstance(instance, TagDefinition):
        named = {"kind": "tag", "key": f"tag:{instance.name}", "name": instance.name}
    else:
        kind = ACCOUNTS[sender]
        named = {"kind": kind, "key": f"{kind}:{instance.pk}", "name": str(instance)}
    versions = _published().filter(
        policy__workspace__organization_id=instance.organization_id,
        references__contains=[{"key": named["key"]}],
    )
    with transaction.atomic():
        for version in versions:
            _mark(version.policy, _said([named]))


def _published() -> QuerySet[PolicyVersion]:
    rows = PolicyVersion.objects.filter(state=VersionState.PUBLISHED)
    return rows.select_related("policy__workspace__organization")


def _mark(policy: Policy, because: str) -> bool:
    """Keep why a policy is broken, raise the version of what holds, and record it."""
    if policy.broken_because == because:
        return False
    before, policy.broken_because = policy.broken_because, because
    PolicySet.objects.get_or_create(workspace_id=policy.workspace_id)
    # The set before the policy, as publishers take them: in the other order, two could deadlock.
    PolicySet.objects.filter(workspace_id=policy.workspace_id).update(version=F("version") + 1)
    policy.save(update_fields=["broken_because"])
    where = policy.workspace
    audit.record(
        actor=SYSTEM,
        event=Event.POLICY_BROKEN if because else Event.POLICY_MENDED,
        target=Target("policy", str(policy.id), policy.name, where.organization_id, where.id),
        before=before,
        after=because,
    )
    return True
