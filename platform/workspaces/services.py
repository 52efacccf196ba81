"""Every write to workspaces and to who belongs to them."""

from __future__ import annotations

from collections.abc import Mapping

from accounts.authorization import Verdict, administer, require
from accounts.domain import Actor
from accounts.models import Group, Organization, ServiceAccount, User
from audit import services as audit
from audit import targets
from audit.domain import Event
from problems import Conflict, Invalid
from workspaces.domain import WorkspaceRole
from workspaces.limits import check
from workspaces.models import Membership, Workspace

Principal = User | ServiceAccount | Group


@audit.service
def create_workspace(
    *, actor: Actor, organization: Organization, name: str, slug: str
) -> Workspace:
    """Create a workspace; the person who does becomes its owner.

    Raises `Conflict` where the slug is taken in the organization.
    """
    verdict = administer(actor, organization.id, "workspace.create")
    require(verdict, actor=actor, target=targets.organization(organization))
    if Workspace.objects.filter(organization=organization, slug=slug).exists():
        message = f"A workspace with the slug {slug!r} exists already."
        raise Conflict(message, hint="Choose another slug.")
    workspace = Workspace.objects.create(organization=organization, name=name, slug=slug)
    if actor.is_person:
        Membership.objects.create(workspace=workspace, user_id=actor.id, role=WorkspaceRole.OWNER)
    audit.record(
        actor=actor,
        event=Event.WORKSPACE_CREATED,
        target=targets.workspace(workspace),
        after={"name": name, "slug": slug},
    )
    return workspace


@audit.service
def grant_membership(
    *, actor: Actor, workspace: Workspace, principal: Principal, role: WorkspaceRole
) -> Membership:
    """Give `principal` a role in `workspace`. Granting it again changes nothing."""
    verdict = manage_members(actor, workspace)
    require(verdict, actor=actor, target=targets.workspace(workspace))
    if principal.organization_id != workspace.organization_id:
        message = f"{principal} does not belong to the workspace's organization."
        raise Invalid(message)
    membership, created = Membership.objects.get_or_create(
        workspace=workspace,
        user=principal if isinstance(principal, User) else None,
        service_account=principal if isinstance(principal, ServiceAccount) else None,
        group=principal if isinstance(principal, Group) else None,
        role=role,
    )
    if created:
        audit.record(
            actor=actor,
            event=Event.MEMBERSHIP_GRANTED,
            target=targets.membership(membership),
            after={"principal": str(principal), "role": str(role)},
        )
    return membership


@audit.service
def revoke_membership(*, actor: Actor, membership: Membership) -> None:
    """Take a role away, from the next request on."""
    workspace = membership.workspace
    verdict = manage_members(actor, workspace)
    require(verdict, actor=actor, target=targets.workspace(workspace))
    target = targets.membership(membership)
    before = {"membership": str(membership)}
    membership.delete()
    audit.record(actor=actor, event=Event.MEMBERSHIP_REVOKED, target=target, before=before)


@audit.service
def change_limits(*, actor: Actor, workspace: Workspace, limits: Mapping[str, int]) -> Workspace:
    """Set some of the workspace's limits, from the next query on; the others stay as they are.

    Raises `Invalid` for a number that is out of bounds, and for a name that is no limit.
    """
    target = targets.workspace(workspace)
    require(manage_limits(actor, workspace), actor=actor, target=target)
    check(limits)
    workspace = Workspace.objects.select_for_update().get(pk=workspace.pk)
    after = {name: value for name, value in limits.items() if value != getattr(workspace, name)}
    if not after:
        return workspace
    before = {name: getattr(workspace, name) for name in after}
    for name, value in after.items():
        setattr(workspace, name, value)
    workspace.save(update_fields=list(after))
    audit.record(
        actor=actor, event=Event.WORKSPACE_CHANGED, target=target, before=before, after=after
    )
    return workspace


def manage_limits(actor: Actor, workspace: Workspace) -> Verdict:
    """Decide whether `actor` may set the limits of `workspace`: its owners and admins may."""
    return _own_or_administer(actor, workspace, "workspace.change", "set its limits")


def manage_members(actor: Actor, workspace: Workspace) -> Verdict:
    """Decide whether `actor` may say who belongs to `workspace`: its owners and admins may."""
    return _own_or_administer(actor, workspace, "member.manage", "say who belongs to it")


def _own_or_administer(actor: Actor, workspace: Workspace, action: str, what: str) -> Verdict:
    verdict = administer(actor, workspace.organization_id, action)
    if verdict.allowed or not actor.is_person:
        return verdict
    if WorkspaceRole.OWNER in Membership.objects.roles_of(actor, workspace.id):
        return Verdict(True, action, f"An owner of the workspace may {what}.")
    return Verdict(
        False,
        action,
        f"Only an owner of the workspace or an administrator may {what}.",
        "Ask an owner of the workspace.",
    )
