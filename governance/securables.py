"""What policies can name above the catalog, and how the ledger names any of it."""

from __future__ import annotations

from accounts.models import Organization
from audit.services import Target
from governance.domain import Securable, SecurableKind
from workspaces.models import Workspace


def organization(of: Organization) -> Securable:
    """Return the organization as something a policy can name."""
    return Securable(SecurableKind.ORGANIZATION, f"organization:{of.id}", of.name, of.id)


def workspace(of: Workspace) -> Securable:
    """Return the workspace as something a policy can name, below its organization."""
    return Securable(
        SecurableKind.WORKSPACE,
        f"workspace:{of.id}",
        of.name,
        of.organization_id,
        of.id,
        organization(of.organization),
    )


def target(of: Securable) -> Target:
    """Return the securable as the ledger names it: the id without its kind."""
    kind, _, identifier = of.key.partition(":")
    return Target(kind, identifier, of.label, of.organization_id, of.workspace_id)
