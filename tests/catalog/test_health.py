"""How the lakes of a workspace stand: measured beside the pages, listed in one go, mended there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from accounts.domain import Actor
from catalog import lake, storage
from catalog import services as catalogs
from catalog.domain import JobKind, JobState
from catalog.maintenance import standings
from catalog.maintenance.domain import StepKind
from catalog.maintenance.workspace import health as workspace_health
from catalog.models import Catalog, CatalogStanding, Job, MaintenanceRun
from catalog.services import maintenance
from workspaces.models import Workspace

pytestmark = pytest.mark.django_db(transaction=True)

API = "/api/v1/workspaces/flight-ops"
PAGE = "/w/flight-ops/health"
ORPHAN = "ducklake-01a201f7-c710-7133-b91b-88565f284bf1.parquet"
SignedIn = Callable[[Actor], Client]


def write(actor: Actor, catalog: Catalog, *statements: str) -> None:
    given = {"statements": list(statements)}
    catalogs.enqueue_job(actor=actor, catalog=catalog, kind=JobKind.STATEMENTS, arguments=given)
    catalogs.run_jobs(catalog.id)
    assert not Job.objects.filter(catalog=catalog).exclude(state=JobState.SUCCEEDED).exists()


@pytest.fixture
def events(workspace: Workspace, owner: Actor) -> Catalog:
    """A lake: `t` has nine small files, `u` history and one, `v` is empty, `w` has one file."""
    catalog = catalogs.create_catalog(actor=owner, workspace=workspace, name="events")
    insert = "INSERT INTO lake.main.{} SELECT range FROM range(500)"
    write(
        owner,
        catalog,
        *(f"CREATE TABLE lake.main.{name} (i INTEGER)" for name in "tuvw"),
        *[insert.format("t")] * 9,
        insert.format("w"),
        insert.format("u"),
        "DELETE FROM lake.main.u WHERE i < 400",
        "DELETE FROM lake.main.u",
        insert.format("u"),
    )
    return catalog


def body_of(answer: Any, status: int = 200) -> Any:
    assert answer.status_code == status, answer.content
    return answer.json()


def test_it_lists_what_needs_work_first(
    events: Catalog, owner: Actor, analyst: Actor, outsider: Actor, signed_in: SignedIn
) -> None:
    client = signed_in(owner)
    assert body_of(client.get(f"{API}/maintenance"))["catalogs"][0]["next"] == "not measured yet"
    assert (standings.measure_changed(), standings.measure_changed()) == (1, 0)
    found = body_of(client.get(f"{API}/maintenance"))
    assert [one["name"] for one in found["tables"]] == ["t", "u"]
    assert [one["small_files"] for one in found["tables"]] == [9, 1]
    [u] = [one for one in found["tables"] if one["name"] == "u"]
    assert (u["held_files"], u["held_bytes"] > 0) == (1, True)
    [one] = found["catalogs"]
    assert (one["tables"], one["tables_in_need"], one["small_files"]) == (4, 1, 11)
    assert [one["needs"] for one in found["tables"]] == [["merge"], []]
    assert (one["next"], one["next_step"]["kind"], one["next_step"]["table"]) == (
        "in a moment",
        "merge",
        "t",
    )
    assert found["totals"]["held_bytes"] == one["held_bytes"] == u["held_bytes"]
    by_history = body_of(client.get(f"{API}/maintenance?sort=held_bytes"))
    assert [one["name"] for one in by_history["tables"]] == ["u", "t"]
    assert body_of(client.get(f"{API}/maintenance?sort=x"), 422)["code"] == "unknown-order"
    assert body_of(signed_in(analyst).get(f"{API}/maintenance"))["catalogs"] == []
    assert signed_in(outsider).get(f"{API}/maintenance").status_code == 404


def test_it_needs_work_only_where_there_is_something_to_do(
    workspace: Workspace, owner: Actor, events: Catalog, signed_in: SignedIn
) -> None:
    calm = catalogs.create_catalog(actor=owner, workspace=workspace, name="calm")
    write(owner, calm, "CREATE TABLE lake.main.w AS SELECT range i FROM range(500)")
    standings.measure(calm)
    one = next(o for o in workspace_health(owner, workspace)["catalogs"] if o["name"] == "calm")
    assert (one["next"], one["tables_in_need"], one["small_files"]) == ("nothing to do", 0, 1)
    page = signed_in(owner).get(PAGE).content.decode()
    assert "0 of 1 table need work" in page
    standings.measure(events)
    maintenance.change_policy(actor=owner, catalog=events, changes={"enabled": False})
    standings.measure(events)
    one = next(o for o in workspace_health(owner, workspace)["catalogs"] if o["name"] == "events")
    assert (one["next"], one["tables_in_need"]) == ("people start it", 1)


def test_it_says_when_the_schedule_goes_on(
    events: Catalog, workspace: Workspace, owner: Actor
) -> None:
    def following() -> str:
        standings.measure(events)
        return str(workspace_health(owner, workspace)["catalogs"][0]["next"])

    maintenance.change_policy(actor=owner, catalog=events, changes={"daily_budget_bytes": 0})
    assert following() == "when the day's budget allows"
    maintenance.change_policy(actor=owner, catalog=events, changes={"enabled": False})
    assert following() == "people start it"
    maintenance.start_maintenance(actor=owner, catalog=events)
    assert following() == "under way"


def test_it_asks_the_database_no_more_for_more_lakes(
    events: Catalog, workspace: Workspace, owner: Actor
) -> None:
    def statements() -> int:
        standings.measure_changed()
        with CaptureQueriesContext(connection) as asked:
            workspace_health(owner, workspace)
        return len(asked)

    statements()  # what is remembered between requests is remembered now
    before = statements()
    for name in ("more", "most"):
        made = catalogs.create_catalog(actor=owner, workspace=workspace, name=name)
        write(owner, made, "CREATE TABLE lake.main.t AS SELECT range i FROM range(500)")
    assert statements() == before
    assert len(workspace_health(owner, workspace)["catalogs"]) == 3


def test_it_counts_files_once_for_all_that_it_measures(events: Catalog, owner: Actor) -> None:
    table = lake.table(events, lake.latest_snapshot(events).snapshot_id, "main", "t")
    own = {"target_file_bytes": 32 * 2**20}
    maintenance.change_policy(actor=owner, catalog=events, table=table, changes=own)
    with CaptureQueriesContext(connection) as asked:
        standings.measure(events)
    counted = [one["sql"] for one in asked.captured_queries if "width_bucket" in one["sql"]]
    assert len(counted) == 2, "all tables as the catalog has them, and that one as it has itself"


def test_it_counts_orphans_by_table_and_deletes_them_only_when_told(
    events: Catalog, workspace: Workspace, owner: Actor, settings: Settings, signed_in: SignedIn
) -> None:
    settings.MAINTENANCE_ORPHAN_SECONDS = -60
    client, store = signed_in(owner), storage.hosted()
    for key in (f"main/t/{ORPHAN}", f"main/u/day=1/{ORPHAN}", ORPHAN):
        store.put_bytes(f"{events.prefix}{key}", b"xyz")
    before = set(store.keys(events.prefix))
    found = body_of(client.post(f"{API}/catalogs/events/maintenance/orphans"))
    assert (found["orphans"], found["orphan_bytes"], len(found["keys"])) == (3, 9, 3)
    assert set(store.keys(events.prefix)) == before
    standings.measure_changed()
    health = workspace_health(owner, workspace)
    assert {t["name"]: t["orphans"] for t in health["tables"]} == {"t": 1, "u": 1}
    assert health["totals"]["orphans"] == 3

    only = {"kinds": [StepKind.ORPHANS]}
    run = body_of(
        client.post(f"{API}/catalogs/events/maintenance/runs", only, "application/json"), 202
    )
    catalogs.run_jobs(events.id)
    ended = MaintenanceRun.objects.get(id=run["id"])
    assert [step["kind"] for step in ended.done] == ["orphans"]
    assert before - set(store.keys(events.prefix)) == set(found["keys"])
    assert CatalogStanding.objects.get().orphans == {}


def test_it_starts_upkeep_from_the_page(
    events: Catalog, owner: Actor, analyst: Actor, signed_in: SignedIn
) -> None:
    standings.measure(events)
    client = signed_in(owner)
    page = client.get(PAGE).content.decode()
    assert page.index("events.main.t") < page.index("events.main.u")
    assert "merge t" in page
    begun = client.post(PAGE, {"catalog": "events", "schema": "main", "table": "t"}, follow=True)
    assert b"Upkeep of events.main.t has begun" in begun.content
    assert MaintenanceRun.objects.get().table_label == "main.t"
    again = client.post(PAGE, {"catalog": "events", "step": "run"})
    assert again.status_code == 409
    assert b"is under way" in again.content
    looked = client.post(PAGE, {"catalog": "events", "step": "orphans"}, follow=True)
    assert b"0 objects that nothing names" in looked.content
    assert signed_in(analyst).post(PAGE, {"catalog": "events"}).status_code == 403
