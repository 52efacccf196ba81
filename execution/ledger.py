"""How the ledger names what runs, and who acts when nobody's request is at hand."""

from __future__ import annotations

from dataclasses import replace

from accounts.domain import SYSTEM, Actor
from accounts.selectors import actor_for_service_account, actor_for_user
from audit.services import Target
from execution import asked
from execution.models import Extract, Grant, Query, SavedQuery
from workspaces.models import Workspace

SQL_SHOWN = 200
SQL_KEPT = 10_000
"""How many characters of a refused text the ledger keeps."""


def query(row: Query) -> Target:
    """Return a query as the target of an event."""
    text = " ".join(row.sql.split())
    label = text if len(text) <= SQL_SHOWN else f"{text[: SQL_SHOWN - 1]}…"
    return Target("query", str(row.id), label, row.workspace.organization_id, row.workspace_id)


def grant(row: Grant) -> Target:
    """Return a grant as the target of an event: named by the query it serves."""
    of_query = query(row.query)
    return replace(of_query, kind="grant", id=str(row.id))


def extract(row: Extract) -> Target:
    """Return an extract as the target of an event: named by its table."""
    where = row.workspace
    return Target("extract", str(row.id), row.table_label, where.organization_id, where.id)


def system_of(workspace: Workspace) -> Actor:
    """Return Upend itself, acting for a workspace."""
    return replace(SYSTEM, organization_id=workspace.organization_id)


def saved_query(row: SavedQuery) -> Target:
    """Return a saved query as the target of an event."""
    where = row.workspace
    return Target("saved_query", str(row.id), row.name, where.organization_id, where.id)


def principal_of(row: Query) -> Actor:
    """Return who asked for the query, as they are now, for what happens after their request.

    They have the second factor and the address that they asked with.
    """
    return asked.as_then(_principal_of(row), row)


def _principal_of(row: Query) -> Actor:
    request_id = str(row.execution.get("request_id", ""))
    if row.user is not None:
        device = row.device.identity if row.device else None
        return actor_for_user(row.user, request_id=request_id, device=device)
    if row.service_account is not None:
        return actor_for_service_account(row.service_account, request_id=request_id)
    return replace(SYSTEM, organization_id=row.workspace.organization_id, request_id=request_id)
