"""What policies can name above the catalog, and how the ledger names any of it."""

from __future__ import annotations

from accounts.models import Organization
from audit.services import Target
from governance.domain import Securable, SecurableColumn, SecurableKind
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


def column(of: SecurableColumn, table: Securable) -> Securable:
    """Return a column of the table, below the struct it is in or else below the table."""
    struct = next((c for c in table.columns if of.path[:-1] == c.path), None)
    return Securable(
        SecurableKind.COLUMN,
        of.key,
        f"{table.label}.{of.name}",
        table.organization_id,
        table.workspace_id,
        column(struct, table) if struct else table,
    )


def table_of(securable: Securable) -> Securable | None:
    """Return the table that a column belongs to; None for anything else."""
    if securable.kind is not SecurableKind.COLUMN:
        return None
    return next(a for a in securable.ancestors if a.kind is SecurableKind.TABLE)


def table_key_of(securable: Securable) -> str:
    """Return the key of the table that a column belongs to; empty for anything else."""
    table = table_of(securable)
    return table.key if table else ""


def target(of: Securable) -> Target:
    """Return the securable as the ledger names it: the id without its kind."""
    kind, _, identifier = of.key.partition(":")
    return Target(kind, identifier, of.label, of.organization_id, of.workspace_id)
