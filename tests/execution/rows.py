"""Rows as planning makes them, for tests of what happens after it."""

from __future__ import annotations

from typing import Any

from accounts.domain import Actor
from accounts.models import Device
from execution.domain import Place, QueryState
from execution.models import Query
from workspaces.models import Workspace


def make_query(
    workspace: Workspace, actor: Actor, sql: str = "SELECT 1 AS one", **members: Any
) -> Query:
    """Create a queued query of no tables, without planning it."""
    owner = {"user_id": actor.id} if actor.is_person else {"service_account_id": actor.id}
    defaults = {
        "sql": sql,
        "canonical_sql": sql,
        "plan": {"decisions": [], "sql": sql},
        "execution": {"search_path": [], "request_id": "test-request"},
        "place": Place.SERVER,
        "state": QueryState.QUEUED,
    }
    return Query.objects.create(workspace=workspace, **owner, **defaults | members)


def make_delegated(workspace: Workspace, actor: Actor, device: Device, **members: Any) -> Query:
    """Create a query that waits for a device."""
    waiting: dict[str, Any] = {
        "place": Place.LOCAL,
        "state": QueryState.DELEGATED,
        "device": device,
    }
    return make_query(workspace, actor, **waiting | members)
