"""A table's history in words, what two snapshots differ in, and the way back to one."""

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
from catalog.domain import JobKind, JobState, Table
from catalog.models import Catalog, Job
from catalog.services import jobs
from catalog.tables.held import held_snapshots
from governance import securables
from governance import services as governance
from tests.cast import Cast
from workspaces.models import Workspace

pytestmark = pytest.mark.django_db(transaction=True)

BASE = "/api/v1/workspaces/flight-ops/catalogs/flights"
PEOPLE = f"{BASE}/tables/main/people"
MANY = "SELECT i, 'v' || i, i * 1.5 FROM range(1000) r(i)"


@pytest.fixture
def client(cast: Cast, signed_in: Callable[[Actor], Client]) -> Client:
    return signed_in(cast.actor("owner"))


@pytest.fixture
def flights(workspace: Workspace, owner: Actor) -> Catalog:
    catalog = catalogs.create_catalog(actor=owner, workspace=workspace, name="flights")
    assert catalogs.run_jobs(catalog.id) == 1
    written(
        catalog,
        owner,
        "CREATE TABLE lake.main.people (id BIGINT NOT NULL, name VARCHAR, paid DOUBLE)",
        f"INSERT INTO lake.main.people {MANY}",
    )
    return catalog


def written(catalog: Catalog, actor: Actor, *statements: str) -> int:
    catalogs.enqueue_job(
        actor=actor,
        catalog=catalog,
        kind=JobKind.STATEMENTS,
        arguments={"statements": list(statements)},
    )
    return finished(catalog)


def finished(catalog: Catalog) -> int:
    job = jobs.run_next_job(catalog)
    assert job is not None
    assert job.state == JobState.SUCCEEDED, job.problem
    return lake.latest_snapshot(catalog).snapshot_id


def people(catalog: Catalog, at: int | None = None) -> Table:
    newest = lake.latest_snapshot(catalog).snapshot_id if at is None else at
    found = lake.table(catalog, newest, "main", "people")
    assert found is not None
    return found


def sent(client: Client, path: str, body: dict[str, Any], verb: str = "post") -> Any:
    call = getattr(client, verb)
    return call(path, json.dumps(body), content_type="application/json")


def files(catalog: Catalog) -> set[int]:
    newest = lake.latest_snapshot(catalog)
    rows = lake.slice_rows(catalog, newest, [lake.Selection(people(catalog), None, None)])
    found = rows.tables["ducklake_data_file"]
    return {row[found.columns.index("data_file_id")] for row in found.rows}


def test_it_takes_rows_and_definition_back_and_keeps_files_and_field_ids(
    client: Client, flights: Catalog, owner: Actor
) -> None:
    good = lake.latest_snapshot(flights).snapshot_id
    before, first_files = people(flights), files(flights)
    written(
        flights,
        owner,
        "INSERT INTO lake.main.people SELECT i, 'bad', 0 FROM range(1000, 3000) r(i)",
        "DELETE FROM lake.main.people WHERE id < 10",
        "UPDATE lake.main.people SET name = 'changed' WHERE id BETWEEN 20 AND 29",
        "ALTER TABLE lake.main.people RENAME COLUMN name TO other",
        "ALTER TABLE lake.main.people RENAME COLUMN paid TO name",
        "ALTER TABLE lake.main.people ADD COLUMN extra INTEGER DEFAULT '7'",
    )
    shown = sent(client, f"{PEOPLE}/rollback", {"snapshot": good, "dry_run": True}).json()
    assert (shown["rows_now"], shown["rows_then"]) == (2990, 1000)
    assert not Job.objects.filter(state=JobState.QUEUED).exists()

    assert sent(client, f"{PEOPLE}/rollback", {"snapshot": good}).status_code == 202
    newest = finished(flights)
    after = people(flights)
    assert after.record_count == 1000
    assert [(c.column_id, c.name) for c in after.top_columns] == [
        (c.column_id, c.name) for c in before.top_columns
    ]
    assert first_files <= files(flights), "the rows that never changed keep their file"
    written(
        flights,
        owner,
        "CREATE TABLE lake.main.wrong AS (SELECT * FROM lake.main.people EXCEPT ALL"
        f" SELECT * FROM lake.main.people AT (VERSION => {good})) UNION ALL"
        f" (SELECT * FROM lake.main.people AT (VERSION => {good}) EXCEPT ALL"
        f" SELECT * FROM lake.main.people AT (VERSION => {newest}))",
    )
    wrong = lake.table(flights, lake.latest_snapshot(flights).snapshot_id, "main", "wrong")
    assert wrong is not None
    assert wrong.record_count == 0
    assert AuditRecord.objects.filter(event="snapshot.rolled_back").count() == 1


def test_it_brings_a_dropped_column_back_unless_it_was_protected(
    client: Client, flights: Catalog, owner: Actor
) -> None:
    good = lake.latest_snapshot(flights).snapshot_id
    table = people(flights).securable(flights.securable)
    column = next(c for c in table.columns if c.path == ("name",))
    governance.assign_tag(actor=owner, securable=securables.column(column, table), tag="pii")
    written(
        flights,
        owner,
        "ALTER TABLE lake.main.people DROP COLUMN name",
        "ALTER TABLE lake.main.people DROP COLUMN paid",
    )
    refused = sent(client, f"{PEOPLE}/rollback", {"snapshot": good})
    assert (refused.status_code, refused.json()["code"]) == (409, "tags-would-be-lost")
    governance.remove_tag(actor=owner, securable=securables.column(column, table), tag="pii")
    assert sent(client, f"{PEOPLE}/rollback", {"snapshot": good}).status_code == 202
    finished(flights)
    assert {c.name for c in people(flights).top_columns} == {"id", "name", "paid"}
    assert people(flights).record_count == 1000


def test_it_tells_the_history_in_words_and_what_two_snapshots_differ_in(
    client: Client,
    flights: Catalog,
    owner: Actor,
    cast: Cast,
    signed_in: Callable[[Actor], Client],
) -> None:
    good = lake.latest_snapshot(flights).snapshot_id
    written(
        flights,
        owner,
        "CREATE TABLE lake.main.secret (a INTEGER)",
        f"INSERT INTO lake.main.people {MANY.replace('1000', '500')}",
        "ALTER TABLE lake.main.people RENAME COLUMN paid TO fare",
    )
    tagged = sent(client, f"{BASE}/snapshot-tags/quarter-1", {"snapshot_id": good}, "put")
    assert tagged.status_code == 200, tagged.json()
    assert held_snapshots(flights) == {good}
    history = client.get(f"{PEOPLE}/snapshots").json()["results"]
    assert [(one["words"], one["tags"]) for one in history] == [
        ("Changed the definition of main.people.", []),
        ("Added rows to main.people.", []),
        ("Added rows to main.people.", ["quarter-1"]),
        ("Made or renamed main.people.", []),
    ]
    page = client.get("/w/flight-ops/catalog/flights/main/people").content.decode()
    for shown in ("Added rows to main.people.", "quarter-1", f'data-rollback="{good}"', ".parquet"):
        assert shown in page
    assert 'data-profile="fare"' in page
    assert (
        "Added rows to main.people." in client.get("/w/flight-ops/catalog/flights").content.decode()
    )
    found = client.get(f"{PEOPLE}/differences?first={good}").json()
    assert (found["before"]["rows"], found["after"]["rows"]) == (1000, 1500)
    assert found["definition"] == ["paid is called fare."]
    assert (found["files"]["added"], found["files"]["removed"]) == (1, 0)
    assert found["files"]["added_rows"] == 500

    analyst = signed_in(cast.actor("analyst"))
    seen = analyst.get("/w/flight-ops/catalog/flights/main/people").content.decode()
    assert "data-compare" in seen
    assert "data-rollback" not in seen
    assert sent(analyst, f"{PEOPLE}/rollback", {"snapshot": good}).status_code == 403
    assert analyst.delete(f"{BASE}/snapshot-tags/quarter-1").status_code == 403
    assert client.delete(f"{BASE}/snapshot-tags/quarter-1").status_code == 204
    assert held_snapshots(flights) == set()
    missing = sent(client, f"{PEOPLE}/rollback", {"snapshot": 0})
    assert (missing.status_code, missing.json()["code"]) == (404, "table-not-there")
