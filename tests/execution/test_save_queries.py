"""Queries are kept under names, for all of a workspace to run."""

from __future__ import annotations

from uuid import uuid4

import pytest

from accounts.domain import Actor
from audit.models import AuditRecord
from tests.execution.test_submit_queries import DELAYS, SignedIn, post
from workspaces.models import Workspace

pytestmark = pytest.mark.django_db(transaction=True)

SAVED = "/api/v1/workspaces/flight-ops/saved-queries"


def test_it_keeps_queries_under_names_that_the_workspace_shares(
    workspace: Workspace, analyst: Actor, agent: Actor, owner: Actor, signed_in: SignedIn
) -> None:
    client = signed_in(analyst)
    body = {"name": "Delays", "sql": DELAYS, "description": "By carrier"}
    made = post(client, SAVED, body)
    assert made.status_code == 201, made.json()
    assert post(client, SAVED, body).json()["code"] == "saved-query-name-taken"
    address = f"{SAVED}/{made.json()['id']}"
    others = signed_in(agent)
    assert others.get(SAVED).json()["results"][0]["name"] == "Delays"
    kind = "application/json"
    assert others.patch(address, '{"name": "Mine"}', content_type=kind).status_code == 403
    assert client.patch(address, '{"name": "Late"}', content_type=kind).json()["name"] == "Late"
    assert signed_in(owner).delete(address).status_code == 204
    assert client.get(address).status_code == 404
    assert client.get(f"{SAVED}/{uuid4()}").status_code == 404
    events = AuditRecord.objects.filter(target_kind="saved_query").order_by("id")
    assert list(events.values_list("event", flat=True)) == [
        "saved_query.changed",
        "saved_query.changed",
        "saved_query.deleted",
    ]
