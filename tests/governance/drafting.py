"""Policies as their authors make them, for tests of their lives."""

from __future__ import annotations

from typing import Any

from accounts.domain import Actor
from accounts.selectors import actor_for_user
from audit.domain import Event
from audit.models import AuditRecord
from governance import services as governance
from governance.domain import Action, PolicyKind, Securable
from governance.models import PolicySet, PolicyVersion
from governance.services import policies

from .conftest import Company

FORBID = 'forbid (principal in Group::"crew", action == Action::"catalog.browse", resource);\n'
PERMIT = 'permit (principal in Group::"crew", action == Action::"catalog.browse", resource);\n'
PASSING = [
    {
        "principal": "analyst@air.example",
        "action": "catalog.browse",
        "on": "flights",
        "expect": "deny",
    }
]


def draft(
    company: Company, text: str = FORBID, name: str = "no-crew", **given: object
) -> PolicyVersion:
    """Begin a policy on the catalog."""
    arguments: dict[str, object] = {
        "actor": company.actors["owner"],
        "workspace": company.workspace,
        "name": name,
        "kind": PolicyKind.ACCESS,
        "scope": company.catalog.securable,
        "text": text,
    }
    return policies.create_policy(**(arguments | given))  # type: ignore[arg-type]


def publish(version: PolicyVersion, actor: Actor, **given: object) -> PolicyVersion:
    """Publish a version."""
    return policies.publish_policy(
        actor=actor,
        policy=version.policy,
        number=version.number,
        **given,  # type: ignore[arg-type]
    )


def submit(version: PolicyVersion, actor: Actor) -> PolicyVersion:
    """Submit a version as it is."""
    return policies.submit_version(
        actor=actor, policy=version.policy, number=version.number, expected=version.etag
    )


def may_browse(company: Company, securable: Securable | None = None) -> bool:
    """Tell whether the analyst, as they are now, may browse."""
    analyst = actor_for_user(company.users["analyst"])
    where = securable or company.catalog.securable
    return governance.decide(analyst, Action.CATALOG_BROWSE, where).allowed


def set_version(company: Company) -> int:
    """Return the number of what holds in the workspace."""
    held = PolicySet.objects.filter(workspace=company.workspace).first()
    return held.version if held else 0


def records(*events: Event) -> list[Any]:
    return list(AuditRecord.objects.filter(event__in=events).order_by("id"))


def ask_for_two(company: Company) -> None:
    policies.set_requires_approval(
        actor=company.actors["owner"], workspace=company.workspace, required=True
    )
