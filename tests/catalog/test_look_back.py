"""Changed rows are shown to whom nothing is hidden, and dropped tables come back as they were."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.domain import Actor
from audit.models import AuditRecord
from catalog import lake
from catalog import services as catalogs
from catalog.domain import Table
from catalog.models import Catalog, Job
from governance import services as governance
from governance.domain import PolicyKind
from tests.cast import Cast
from tests.catalog.test_listing import HIDE_FINANCE, hold
from tests.catalog.test_take_tables_back import finished, written
from tests.execution.governed import publish
from workspaces.models import Workspace

pytestmark = pytest.mark.django_db(transaction=True)

BASE = "/api/v1/workspaces/flight-ops/catalogs/flights"
PEOPLE = f"{BASE}/tables/main/people"


@pytest.fixture
def flights(workspace: Workspace, owner: Actor) -> Catalog:
    catalog = catalogs.create_catalog(actor=owner, workspace=workspace, name="flights")
    assert catalogs.run_jobs(catalog.id) == 1
    written(
        catalog,
        owner,
        "CREATE TABLE lake.main.people (id BIGINT NOT NULL, name VARCHAR)",
        "INSERT INTO lake.main.people SELECT i, 'v' || i FROM range(1000) r(i)",
    )
    return catalog


def people(catalog: Catalog, at: int | None = None) -> Table | None:
    newest = lake.latest_snapshot(catalog).snapshot_id if at is None else at
    return lake.table(catalog, newest, "main", "people")


def sent(client: Client, path: str, body: dict[str, Any]) -> Any:
    return client.post(path, json.dumps(body), content_type="application/json")


def sampled(client: Client, catalog: Catalog, **asked: int) -> dict[str, Any]:
    """Ask for changed rows, let the writer read them, and return them."""
    answer = sent(client, f"{PEOPLE}/changed-rows", asked)
    assert answer.status_code == 202, answer.json()
    address = f"{BASE}/changed-rows/{answer.json()['id']}"
    assert client.get(address).status_code == 202
    finished(catalog)
    rows: dict[str, Any] = client.get(address).json()
    return rows


def test_it_shows_some_of_the_rows_that_changed_to_who_asked(
    flights: Catalog, cast: Cast, owner: Actor, signed_in: Callable[[Actor], Client]
) -> None:
    client = signed_in(owner)
    first = lake.latest_snapshot(flights).snapshot_id
    written(
        flights,
        owner,
        "DELETE FROM lake.main.people WHERE id = 3",
        "UPDATE lake.main.people SET name = 'other' WHERE id = 5",
        "INSERT INTO lake.main.people VALUES (5000, NULL)",
    )
    found = sampled(client, flights, first=first)
    assert (found["columns"], found["is_cut"]) == (["id", "name"], False)
    assert [(row["change"], row["values"]) for row in found["rows"]] == [
        ("delete", ["3", "v3"]),
        ("update_preimage", ["5", "v5"]),
        ("update_postimage", ["5", "other"]),
        ("insert", ["5000", None]),
    ]
    cut = sampled(client, flights, first=first, limit=2)
    assert (len(cut["rows"]), cut["is_cut"]) == (2, True)

    job = Job.objects.latest("created_at")
    seen = client.get(f"/api/v1/workspaces/flight-ops/jobs/{job.id}").content.decode()
    assert '"is_cut":true' in seen
    assert "other" not in seen + json.dumps(list(AuditRecord.objects.values_list("after")))
    analyst = signed_in(cast.actor("analyst"))
    assert analyst.get(f"{BASE}/changed-rows/{job.id}").status_code == 404


def test_it_refuses_changed_rows_where_policies_hide_anything(
    flights: Catalog, workspace: Workspace, cast: Cast, signed_in: Callable[[Actor], Client]
) -> None:
    client = signed_in(cast.actor("analyst"))
    asked = {"first": 1}
    job = sent(client, f"{PEOPLE}/changed-rows", asked).json()["id"]
    finished(flights)
    assert client.get(f"{BASE}/changed-rows/{job}").status_code == 200
    table = people(flights)
    assert table is not None
    scope = table.securable(flights.securable)
    compiled = {"template": ["true"], "except": []}
    publish(workspace, "some", PolicyKind.ROW_FILTER, scope, compiled)
    for answer in (
        sent(client, f"{PEOPLE}/changed-rows", asked),
        client.get(f"{BASE}/changed-rows/{job}"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "changed-rows-hidden")


def test_it_brings_a_dropped_table_back_with_its_rows_and_its_tags(
    flights: Catalog, owner: Actor, signed_in: Callable[[Actor], Client]
) -> None:
    client = signed_in(owner)
    before = people(flights)
    assert before is not None
    governance.assign_tag(actor=owner, securable=before.securable(flights.securable), tag="pii")
    kept = written(
        flights,
        owner,
        "ALTER TABLE lake.main.people SET PARTITIONED BY (name)",
        "COMMENT ON TABLE lake.main.people IS 'Who flies.'",
        "DELETE FROM lake.main.people WHERE id < 10",
        "INSERT INTO lake.main.people VALUES (5000, 'inlined')",
    )
    gone = written(flights, owner, "DROP TABLE lake.main.people")
    assert people(flights) is None
    (found,) = client.get(f"{BASE}/dropped-tables").json()["results"]
    assert (found["name"], found["last_snapshot"], found["record_count"]) == ("people", kept, 991)
    address = f"{BASE}/dropped-tables/{found['table_uuid']}/restore"
    assert "991 rows" in sent(client, address, {"dry_run": True}).json()["steps"][0]["does"]
    assert people(flights) is None

    page = "/w/flight-ops/catalog/flights"
    assert "Restore people" in client.get(f"{page}/settings").content.decode()
    restore = f"{page}/dropped-tables/{found['table_uuid']}/restore"
    assert client.post(restore).status_code == 302
    newest = finished(flights)
    after = people(flights)
    assert after is not None
    assert (after.table_uuid, after.columns) == (before.table_uuid, before.columns)
    assert people(flights, gone) is None, "history stays what it was"
    one = client.get(PEOPLE).json()
    assert (one["tags"], one["comment"], one["partition_by"]) == (["pii"], "Who flies.", ["name"])
    written(flights, owner, "INSERT INTO lake.main.people VALUES (6000, 'after')")
    same_rows(flights, owner, kept, newest)
    assert client.get(f"{BASE}/dropped-tables").json()["results"] == []
    assert sent(client, address, {}).json()["code"] == "unknown-dropped-table"


def same_rows(catalog: Catalog, owner: Actor, one: int, other: int, name: str = "people") -> None:
    """Fail unless plain DuckDB reads the same rows of the table at both snapshots."""
    at = f"SELECT * FROM lake.main.{name} AT (VERSION => {{}})"
    written(
        catalog,
        owner,
        f"CREATE TABLE lake.main.wrong AS ({at.format(one)} EXCEPT ALL {at.format(other)})"
        f" UNION ALL ({at.format(other)} EXCEPT ALL {at.format(one)})",
    )
    wrong = lake.table(catalog, lake.latest_snapshot(catalog).snapshot_id, "main", "wrong")
    assert wrong is not None
    assert wrong.record_count == 0


def test_it_restores_no_table_whose_name_is_taken_or_that_one_may_not_see(
    flights: Catalog, workspace: Workspace, owner: Actor, cast: Cast,
    signed_in: Callable[[Actor], Client],
) -> None:  # fmt: skip
    table = people(flights)
    assert table is not None
    governance.assign_tag(actor=owner, securable=table.securable(flights.securable), tag="finance")
    hold(workspace, "hide", flights.securable, HIDE_FINANCE)
    written(flights, owner, "DROP TABLE lake.main.people")
    address = f"{BASE}/dropped-tables/{table.table_uuid}/restore"
    analyst = signed_in(cast.actor("analyst"))
    assert analyst.get(f"{BASE}/dropped-tables").json()["results"] == []
    assert sent(analyst, address, {}).status_code == 404
    written(flights, owner, "CREATE TABLE lake.main.people (a INTEGER)")
    taken = sent(signed_in(owner), address, {})
    assert (taken.status_code, taken.json()["code"]) == (409, "table-exists")


def test_it_takes_a_whole_catalog_back(
    flights: Catalog, owner: Actor, cast: Cast, signed_in: Callable[[Actor], Client]
) -> None:
    client = signed_in(owner)
    then = written(
        flights,
        owner,
        "CREATE TABLE lake.main.planes AS SELECT i AS id FROM range(50) r(i)",
        "CREATE TABLE lake.main.still AS SELECT 1 AS one",
        "CREATE VIEW lake.main.few AS SELECT id FROM lake.main.planes",
        "COMMENT ON VIEW lake.main.few IS 'Few of them'",
        "CREATE VIEW lake.main.said AS SELECT one FROM lake.main.still",
        "COMMENT ON VIEW lake.main.said IS 'One'",
    )
    written(
        flights,
        owner,
        "DELETE FROM lake.main.people WHERE id < 500",
        "INSERT INTO lake.main.people VALUES (9000, 'new')",
        "ALTER TABLE lake.main.people ADD COLUMN extra INTEGER",
        "INSERT INTO lake.main.planes VALUES (77)",
        "DROP VIEW lake.main.few",
        "COMMENT ON VIEW lake.main.said IS 'Another'",
        "DROP TABLE lake.main.planes",
        "CREATE TABLE lake.main.planes AS SELECT 'another' AS what",
        "CREATE VIEW lake.main.newer AS SELECT what FROM lake.main.planes",
    )
    shown = sent(client, f"{BASE}/rollback", {"snapshot": then, "dry_run": True}).json()
    assert {(t["sql_name"], t["rows_now"], t["rows_then"]) for t in shown["tables"]} == {
        ("flights.main.people", 501, 1000),
        ("flights.main.planes", 0, 50),
    }
    does = " ".join(step["does"] for step in shown["steps"])
    assert "Drops the table main.planes, which is newer." in does
    assert "Brings main.planes back" in does
    analyst = signed_in(cast.actor("analyst"))
    assert sent(analyst, f"{BASE}/rollback", {"snapshot": then}).status_code == 403

    assert sent(client, f"{BASE}/rollback", {"snapshot": then}).status_code == 202
    newest = finished(flights)
    views = {view.name: view.comment for view in lake.views(flights, newest)}
    found = {t.name: t.table_uuid for t in lake.tables(flights, newest, with_columns=False)}
    past = {t.name: t.table_uuid for t in lake.tables(flights, then, with_columns=False)}
    assert (found, views) == (past, {"few": "Few of them", "said": "One"})
    for name in past:
        same_rows(flights, owner, then, newest, name)
        written(flights, owner, "DROP TABLE lake.main.wrong")
