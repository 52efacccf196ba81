"""Policies that hold, made as rows: what a check of their text would have compiled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import cedarpy
from django.db.models import F

from accounts.domain import Actor
from governance import services as governance
from governance.domain import (
    Action,
    PolicyKind,
    Securable,
    SecurableColumn,
    VersionState,
)
from governance.models import Policy, PolicySet, PolicyVersion
from tests.cast import Cast

from .conftest import Company

Tenant = Company | Cast

PERMIT = 'permit (principal, action == Action::"table.query", resource);'
FORBID = 'forbid (principal, action == Action::"table.query", resource);'


def publish(
    company: Tenant,
    name: str,
    kind: PolicyKind,
    scope: Securable,
    compiled: Mapping[str, Any],
    **given: Any,
) -> Policy:
    """Make a policy hold, as rows, without checking its text."""
    policy = Policy.objects.create(
        workspace=company.workspace, name=name, kind=kind, scope_key=scope.key,
        scope_label=scope.label, **given,
    )  # fmt: skip
    PolicyVersion.objects.create(
        policy=policy, number=3, state=VersionState.PUBLISHED, text="-", compiled=compiled,
        summary=f"The summary of {name}.",
    )  # fmt: skip
    raise_version(company)
    return policy


def raise_version(company: Tenant) -> None:
    """Say that what holds in the workspace has changed."""
    PolicySet.objects.get_or_create(workspace=company.workspace)
    PolicySet.objects.filter(workspace=company.workspace).update(version=F("version") + 1)


def access(text: str, *, about: str = "") -> dict[str, Any]:
    """Return Cedar text, compiled."""
    policies = json.loads(cedarpy.policies_to_json_str(text))["staticPolicies"].values()
    return {
        "statements": [
            {"summary": "Said by the text.", "about": about, "body": body} for body in policies
        ]
    }


def mask(
    *columns: SecurableColumn, tags: tuple[str, ...] = (), spared: Any = (), **given: Any
) -> dict[str, Any]:
    """Return a mask, compiled."""
    return {
        "columns": [{"name": column.name, "keys": [column.key]} for column in columns],
        "tags": list(tags),
        "mask": {"method": "null", **given},
        "except": list(spared),
    }


def row_filter(*template: Any, spared: Any = ()) -> dict[str, Any]:
    """Return a row filter, compiled."""
    return {"template": list(template), "except": list(spared)}


def ask(actor: Actor, table: Securable, action: Action = Action.TABLE_QUERY) -> Any:
    """Ask one question."""
    return governance.decide(actor, action, table)
