"""Upkeep over the API and in the console: a look first, a start, progress, an end, a policy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.domain import Actor
from catalog import services as catalogs
from catalog.domain import JobKind
from catalog.models import Catalog
from workspaces.models import Workspace

pytestmark = pytest.mark.django_db(transaction=True)

API = "/api/v1/workspaces/flight-ops"
PAGE = "/w/flight-ops/catalog/events"
SignedIn = Callable[[Actor], Client]


@pytest.fixture
def events(workspace: Workspace, owner: Actor) -> Catalog:
    """A lake with a table of three small files."""
    catalog = catalogs.create_catalog(actor=owner, workspace=workspace, name="events")
    insert = "INSERT INTO lake.main.t SELECT range FROM range(500)"
    catalogs.enqueue_job(
        actor=owner,
        catalog=catalog,
        kind=JobKind.STATEMENTS,
        arguments={"statements": ["CREATE TABLE lake.main.t (i INTEGER)", *[insert] * 3]},
    )
    catalogs.run_jobs(catalog.id)
    return catalog


def body_of(answer: Any, status: int = 200) -> Any:
    assert answer.status_code == status, answer.content
    return answer.json()


def test_it_shows_what_is_needed_does_it_and_tells_of_it(
    events: Catalog, owner: Actor, analyst: Actor, outsider: Actor, signed_in: SignedIn
) -> None:
    client, upkeep = signed_in(owner), f"{API}/catalogs/events/maintenance"
    found = body_of(client.get(upkeep))
    assert [step["kind"] for step in found["steps"]] == ["merge", "orphans"]
    assert found["tables"][0]["small_files"] == 3
    assert found["policy"]["keep_days"] == 30
    assert body_of(client.get(f"{upkeep}/runs"))["results"] == []

    begun = body_of(client.post(f"{upkeep}/runs", {"table": "t"}, "application/json"), 202)
    assert (begun["state"], begun["table"], begun["step"]["kind"]) == ("running", "main.t", "merge")
    assert b"merge" in client.get(f"{PAGE}/main/t/maintenance").content
    progress = client.get(f"/w/flight-ops/maintenance/{begun['id']}")
    assert b"running" in progress.content
    assert b"<html" not in progress.content
    body_of(client.post(f"{upkeep}/runs", {}, "application/json"), 409)

    catalogs.run_jobs(events.id)
    run = f"{API}/maintenance/{begun['id']}"
    assert body_of(client.get(run))["state"] == "succeeded"
    assert body_of(client.delete(run), 409)["code"] == "maintenance-ended"
    table = body_of(client.get(f"{API}/catalogs/events/tables/main/t/maintenance"))
    assert (table["health"]["files"], table["steps"], table["sort_proposals"]) == (1, [], [])
    assert client.get(f"{PAGE}/maintenance").status_code == 200

    for address in (upkeep, f"{upkeep}/runs", run):
        assert signed_in(analyst).get(address).status_code == 403
        assert signed_in(outsider).get(address).status_code == 404


def test_it_takes_a_policy_that_tables_inherit(
    events: Catalog, owner: Actor, signed_in: SignedIn
) -> None:
    client, upkeep = signed_in(owner), f"{API}/catalogs/events/maintenance"
    changes = {"target_file_bytes": 2**23, "quiet_hours": "22:00-06:00", "keep_days": 0}
    said = body_of(client.patch(upkeep, changes, "application/json"))
    assert said["own"]["quiet_hours"] == said["policy"]["quiet_hours"] == "22:00-06:00"
    of_table = f"{API}/catalogs/events/tables/main/t/maintenance"
    assert body_of(client.get(of_table))["policy"]["target_file_bytes"] == 2**23
    refused = body_of(client.patch(of_table, {"keep_days": 9}, "application/json"), 422)
    assert "keep_days" in refused["detail"]
    body_of(client.patch(upkeep, {"target_file_bytes": 5}, "application/json"), 422)

    form = {"step": "policy", "enabled": "no", "target_file_bytes": "64"}
    assert client.post(f"{PAGE}/main/t/maintenance", form).status_code == 302
    kept = body_of(client.get(of_table))
    assert kept["policy"]["target_file_bytes"] == 64 * 2**20
    assert kept["policy"]["enabled"] is False
    wrong = client.post(f"{PAGE}/maintenance", {"step": "policy", "quiet_hours": "at night"})
    assert wrong.status_code == 422
    assert "are no hours" in wrong.content.decode()
