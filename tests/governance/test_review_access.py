"""A review looks at every right of a workspace, takes some away, and leaves evidence."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.domain import Actor
from audit.models import AuditRecord
from governance import securables
from governance import services as governance
from governance.domain import Action, PolicyKind
from governance.services import policies
from tests.cast import Cast

REVIEWS = "/api/v1/workspaces/flight-ops/access-reviews"
PERMIT = 'permit (principal, action == Action::"catalog.create", resource);'

Ask = Callable[..., Any]


@pytest.fixture
def ask(cast: Cast, signed_in: Callable[[Actor], Client]) -> Ask:
    """Return `ask(who, verb, path, body)`: an answer of the API to one of the cast."""
    clients: dict[str, Client] = {}

    def call(who: str, verb: str, path: str = "", body: Any = None) -> Any:
        client = clients.setdefault(who, signed_in(cast.actor(who)))
        sent = json.dumps(body or {}) if verb == "POST" else ""
        return client.generic(verb, REVIEWS + path, data=sent, content_type="application/json")

    return call


@pytest.fixture
def review(ask: Ask, cast: Cast) -> str:
    """Return the path of a review of the cast's roles and of one policy that permits."""
    owner = cast.actor("owner")
    version = policies.create_policy(
        actor=owner,
        workspace=cast.workspace,
        name="all-create",
        kind=PolicyKind.ACCESS,
        scope=securables.workspace(cast.workspace),
        text=PERMIT,
    )
    policies.publish_policy(actor=owner, policy=version.policy, number=1)
    return f"/{ask('owner', 'POST', body={'title': 'Q4'}).json()['id']}"


def rights(ask: Ask, review: str) -> dict[str, str]:
    """Return the ids of the review's items by whose they are."""
    found = ask("owner", "GET", f"{review}/items").json()["results"]
    return {item["holder"]: item["id"] for item in found}


def may(cast: Cast, who: str, action: Action) -> bool:
    place = securables.workspace(cast.workspace)
    return governance.decide(cast.actor(who), action, place).allowed


def test_it_lists_every_role_and_every_policy_that_permits(ask: Ask, review: str) -> None:
    found = rights(ask, review)
    assert set(found) == {
        "policy all-create",
        "service account agent",
        *(f"user {n}@demo-air.example" for n in ("owner", "steward", "analyst", "auditor")),
    }
    shown = ask("auditor", "GET").json()["results"]
    assert [(one["title"], one["rights"], one["pending"]) for one in shown] == [("Q4", 6, 6)]


def test_it_takes_away_and_keeps(ask: Ask, review: str, cast: Cast) -> None:
    found = rights(ask, review)
    analyst = f"{review}/items/{found['user analyst@demo-air.example']}"
    assert ask("owner", "POST", f"{analyst}:revoke").status_code == 422
    assert may(cast, "analyst", Action.WORKSPACE_QUERY)
    assert ask("owner", "POST", f"{analyst}:revoke", {"reason": "Left."}).status_code == 200
    assert not may(cast, "analyst", Action.WORKSPACE_QUERY)
    assert ask("owner", "POST", f"{analyst}:confirm").json()["code"] == "access-review-decided"
    assert may(cast, "steward", Action.CATALOG_CREATE)
    policy = f"{review}/items/{found['policy all-create']}"
    assert ask("owner", "POST", f"{policy}:revoke", {"reason": "=1+1"}).status_code == 200
    assert not may(cast, "steward", Action.CATALOG_CREATE)
    assert ask("owner", "POST", f"{review}:close").status_code == 422
    for holder, item in rights(ask, review).items():
        if holder not in {"user analyst@demo-air.example", "policy all-create"}:
            assert ask("owner", "POST", f"{review}/items/{item}:confirm").status_code == 200
    closed = ask("owner", "POST", f"{review}:close").json()
    assert (closed["pending"], closed["closed_at"] is None) == (0, False)
    evidence = list(csv.DictReader(io.StringIO(ask("auditor", "GET", f"{review}:evidence").text)))
    outcomes = {row["holder"]: (row["outcome"], row["reason"]) for row in evidence}
    assert outcomes["user analyst@demo-air.example"] == ("revoked", "Left.")
    assert outcomes["policy all-create"] == ("revoked", "'=1+1")
    assert (
        sorted(outcome for outcome, _ in outcomes.values()) == ["confirmed"] * 4 + ["revoked"] * 2
    )
    assert AuditRecord.objects.filter(event="access.reviewed").count() == 6


def test_it_is_for_those_who_manage_members(ask: Ask, review: str) -> None:
    item = next(iter(rights(ask, review).values()))
    statuses = {
        who: (
            ask(who, "POST", body={"title": "Mine"}).status_code,
            ask(who, "GET", f"{review}/items").status_code,
            ask(who, "POST", f"{review}/items/{item}:confirm").status_code,
        )
        for who in ("owner", "steward", "analyst", "auditor", "agent", "outsider")
    }
    assert statuses == {
        "owner": (409, 200, 200),
        "steward": (403, 200, 403),
        "analyst": (403, 404, 404),
        "auditor": (403, 200, 403),
        "agent": (403, 404, 404),
        "outsider": (404, 404, 404),
    }


def test_it_lets_nobody_take_their_own_role_away(ask: Ask, review: str, cast: Cast) -> None:
    own = f"{review}/items/{rights(ask, review)['user owner@demo-air.example']}"
    answer = ask("owner", "POST", f"{own}:revoke", {"reason": "Bye."})
    assert answer.status_code == 422
    assert may(cast, "owner", Action.MEMBER_MANAGE)
