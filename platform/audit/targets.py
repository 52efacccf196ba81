"""What events of the platform are about: one constructor per kind of thing."""

from __future__ import annotations

from accounts.models import ApiToken, Device, Group, Organization, ServiceAccount, SigningKey, User
from audit.services import Target
from workspaces.models import Membership, Workspace


def organization(row: Organization) -> Target:
    """Return an organization as the target of an event."""
    return Target("organization", str(row.id), row.name, row.id)


def workspace(row: Workspace) -> Target:
    """Return a workspace as the target of an event."""
    return Target("workspace", str(row.id), row.name, row.organization_id, row.id)


def user(row: User) -> Target:
    """Return a person as the target of an event."""
    return Target("user", str(row.id), row.email, row.organization_id)


def service_account(row: ServiceAccount) -> Target:
    """Return a service account as the target of an event."""
    return Target("service_account", str(row.id), row.name, row.organization_id)


def group(row: Group) -> Target:
    """Return a group as the target of an event."""
    return Target("group", str(row.id), row.name, row.organization_id)


def token(row: ApiToken) -> Target:
    """Return an API token as the target of an event; its prefix is safe to show."""
    return Target("token", str(row.id), str(row), row.owner.organization_id)


def device(row: Device) -> Target:
    """Return a device as the target of an event."""
    return Target("device", str(row.id), str(row), row.user.organization_id)


def signing_key(row: SigningKey) -> Target:
    """Return a signing key as the target of an event."""
    return Target("signing_key", str(row.id), row.key_id, row.organization_id)


def membership(row: Membership) -> Target:
    """Return a membership as the target of an event of its workspace."""
    where = row.workspace
    return Target("membership", str(row.id), str(row), where.organization_id, where.id)
