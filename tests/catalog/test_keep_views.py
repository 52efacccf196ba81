"""Views are made by the writer, seen by whom their tables are shown to, and never tell of more."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.domain import Actor
from catalog import lake
from catalog import services as catalogs
from catalog.domain import JobState
from catalog.models import Catalog
from catalog.services import jobs
from catalog.stored_views.seen import visible_views
from execution.bind import BindError
from execution.planning import plan
from governance import services as governance
from tests.cast import Cast
from tests.catalog.lakes import WrittenLake
from tests.catalog.test_listing import HIDE_FINANCE, hold
from tests.catalog.test_take_tables_back import written
from tests.execution.governed import mask
from workspaces.models import Workspace

pytestmark = pytest.mark.django_db(transaction=True)

LAKE = "/api/v1/workspaces/flight-ops/catalogs/lake"
FLIGHTS = "/api/v1/workspaces/flight-ops/catalogs/flights"
TABLES = (
    "CREATE TABLE people (id INTEGER, email VARCHAR, paid INTEGER)",
    "INSERT INTO people SELECT i, 'p' || i, i * 10 FROM range(20) r(i)",
    "CREATE TABLE planes (id INTEGER)",
)
VIEWS = (
    "CREATE VIEW rich AS SELECT id, paid FROM people WHERE paid > 100",
    "CREATE VIEW ids AS SELECT id FROM rich UNION ALL SELECT id FROM planes",
    "CREATE VIEW lost AS SELECT id FROM planes",
)


def sent(client: Client, path: str, body: dict[str, Any]) -> Any:
    return client.post(path, json.dumps(body), content_type="application/json")


def names(actor: Actor, found: WrittenLake) -> list[str]:
    seen = visible_views(actor, found.catalog, found.snapshot.snapshot_id)
    return [one.view.name for one in seen]


def test_it_makes_replaces_renames_describes_and_drops_views(
    cast: Cast, workspace: Workspace, owner: Actor, signed_in: Callable[[Actor], Client]
) -> None:
    client = signed_in(owner)
    flights = catalogs.create_catalog(actor=owner, workspace=workspace, name="flights")
    catalogs.run_jobs(flights.id)
    written(
        flights,
        owner,
        "CREATE TABLE lake.main.people AS SELECT i AS id, i * 10 AS paid FROM range(20) r(i)",
    )
    new = {"name": "rich", "sql": "SELECT id, paid FROM people -- all\n;", "comment": "Who pays."}
    shown = sent(client, f"{FLIGHTS}/views", new | {"dry_run": True}).json()
    assert shown["columns"] == [
        {"name": "id", "type": "BIGINT"},
        {"name": "paid", "type": "BIGINT"},
    ]
    assert lake.views(flights, lake.latest_snapshot(flights).snapshot_id) == []

    done(client, flights, f"{FLIGHTS}/views", new)
    newest = lake.latest_snapshot(flights)
    written(flights, owner, "CREATE TABLE lake.main.seen AS SELECT * FROM lake.main.rich")
    seen = lake.table(flights, newest.snapshot_id + 1, "main", "seen")
    assert seen is not None, "plain DuckDB reads the view as one of its own"
    assert seen.record_count == 20

    assert sent(client, f"{FLIGHTS}/views", new).status_code == 409
    poor = new | {"sql": "FROM flights.main.people WHERE paid < 30", "replace": True}
    done(client, flights, f"{FLIGHTS}/views", poor)
    done(client, flights, f"{FLIGHTS}/views/main/rich/changes", {"op": "rename", "value": "poor"})
    one = client.get(f"{FLIGHTS}/views/main/poor").json()
    assert (one["comment"], one["reads"]) == ("Who pays.", ["flights.main.people"])
    assert one["sql"] == 'FROM flights."main"."people" WHERE paid < 30'
    sql = "SELECT count(*) FROM poor"
    assert plan(actor=owner, workspace=workspace, sql=sql).estimate.tables

    dropped = {"operations": [{"op": "drop_table"}], "dry_run": True}
    broken = sent(client, f"{FLIGHTS}/tables/main/people/changes", dropped).json()["breaks"]
    assert ("view", "flights.main.poor") in {(b["kind"], b["name"]) for b in broken}
    page = client.get("/w/flight-ops/catalog/flights/main/poor/view").content.decode()
    assert "paid &lt; 30" in page
    assert "main/poor/view" in client.get("/w/flight-ops/catalog/flights").content.decode()

    done(client, flights, f"{FLIGHTS}/views/main/poor/changes", {"op": "drop"})
    assert client.get(f"{FLIGHTS}/views").json()["results"] == []
    assert client.get(f"{FLIGHTS}/views/main/poor").status_code == 404
    moments = client.get(f"{FLIGHTS}/snapshots").json()["results"]
    assert moments[0]["author"] == owner.label


def done(client: Client, catalog: Catalog, path: str, body: dict[str, Any]) -> None:
    """Send a change, and let the catalog's writer carry it out."""
    answer = sent(client, path, body)
    assert answer.status_code == 202, answer.json()
    job = jobs.run_next_job(catalog)
    assert job is not None
    assert job.state == JobState.SUCCEEDED, job.problem


REFUSED = [
    ("SELECT * FROM read_text('/etc/passwd')", "sql-refused"),
    ("SELECT * FROM other.main.people", "view-text-refused"),
    ("SELECT nothing FROM people", "bind-error"),
    ("SELECT * FROM nowhere", "unknown-table"),
    ("DROP TABLE people", "sql-refused"),
    ("SELECT 1) AS x, (SELECT 2", "sql-refused"),
]


def test_it_refuses_texts_that_no_query_may_be_and_who_may_not_make_tables(
    cast: Cast, written_lake: WrittenLake, signed_in: Callable[[Actor], Client]
) -> None:
    written_lake.run(*TABLES)
    owner, analyst = signed_in(cast.actor("owner")), signed_in(cast.actor("analyst"))
    for sql, code in REFUSED:
        answer = sent(owner, f"{LAKE}/views", {"name": "v", "sql": sql})
        assert (answer.status_code // 100, answer.json()["code"]) == (4, code), sql
    new = {"name": "v", "sql": "SELECT 1 AS one"}
    assert sent(analyst, f"{LAKE}/views", new).status_code == 403


def test_it_shows_a_view_to_whom_all_of_its_tables_are_shown(
    cast: Cast, workspace: Workspace, written_lake: WrittenLake,
    signed_in: Callable[[Actor], Client],
) -> None:  # fmt: skip
    written_lake.run(*TABLES, *VIEWS)
    owner, analyst = cast.actor("owner"), cast.actor("analyst")
    assert names(analyst, written_lake) == ["ids", "lost", "rich"]
    planes = written_lake.table("planes").securable(written_lake.catalog.securable)
    hold(workspace, "hide", written_lake.catalog.securable, HIDE_FINANCE)
    governance.assign_tag(actor=owner, securable=planes, tag="finance")
    assert names(analyst, written_lake) == ["rich"]
    assert names(owner, written_lake) == ["ids", "lost", "rich"]
    client = signed_in(analyst)
    for path in (f"{LAKE}/views/main/ids", "/w/flight-ops/catalog/lake/main/ids/view"):
        answer = client.get(path)
        assert answer.status_code == 404
        assert "planes" not in answer.content.decode()
    told = sent(client, "/api/v1/workspaces/flight-ops/plans", {"sql": "FROM ids"})
    assert (told.status_code, told.json()["code"]) == (404, "unknown-table")
    assert "planes" not in told.content.decode()

    written_lake.run("DROP TABLE planes")
    assert names(analyst, written_lake) == ["rich"]
    assert names(owner, written_lake) == ["ids", "lost", "rich"], "who may mend sees what is broken"
    broken = signed_in(owner).get(f"{LAKE}/views/main/lost").json()
    assert (broken["sql"], broken["columns"]) == ("SELECT id FROM planes", []), "to be mended"
    change = signed_in(owner).get("/w/flight-ops/catalog/lake/main/lost/view/change")
    assert "SELECT id FROM planes</textarea>" in change.content.decode()


def test_it_withholds_what_a_broken_view_may_tell_of_a_hidden_column(
    written_lake: WrittenLake, owner: Actor, signed_in: Callable[[Actor], Client]
) -> None:
    written_lake.run(
        *TABLES,
        "CREATE VIEW lost AS SELECT p.id, paid FROM people JOIN planes p USING (id)",
        "DROP TABLE planes",
    )
    mask(written_lake, "people", "paid", method="hide")
    broken = signed_in(owner).get(f"{LAKE}/views/main/lost").json()
    assert (broken["sql"], broken["problem"]) == ("", "it names a table that is not there")
    assert "names columns that policies hide" in broken["withheld"]


def test_it_keeps_the_comment_of_a_broken_view_whose_text_is_withheld(
    written_lake: WrittenLake, owner: Actor, signed_in: Callable[[Actor], Client]
) -> None:
    written_lake.run(
        *TABLES,
        "CREATE VIEW lost AS SELECT p.id, paid FROM people JOIN planes p USING (id)",
        "COMMENT ON VIEW lost IS 'who paid'",
        "DROP TABLE planes",
    )
    mask(written_lake, "people", "paid", method="hide")
    client, address = signed_in(owner), "/w/flight-ops/catalog/lake/main/lost/view/change"
    shown = client.get(address).content.decode()
    assert "who paid" not in shown
    assert "it stays unless you write something else" in shown
    text = {"sql": "SELECT id FROM people", "comment": "", "step": "make"}
    assert client.post(address, text).status_code == 302
    assert jobs.run_next_job(written_lake.catalog)
    assert client.get(f"{LAKE}/views/main/lost").json()["comment"] == "who paid"
    body = {"name": "lost", "sql": "SELECT id AS one FROM people", "replace": True}
    done(client, written_lake.catalog, f"{LAKE}/views", body)
    assert client.get(f"{LAKE}/views/main/lost").json()["comment"] == "who paid"
    done(client, written_lake.catalog, f"{LAKE}/views", body | {"comment": ""})
    assert client.get(f"{LAKE}/views/main/lost").json()["comment"] == ""


def test_it_withholds_the_text_that_names_a_hidden_column(
    cast: Cast, workspace: Workspace, written_lake: WrittenLake,
    signed_in: Callable[[Actor], Client],
) -> None:  # fmt: skip
    written_lake.run(*TABLES, *VIEWS)
    mask(written_lake, "people", "paid", method="hide")
    analyst = cast.actor("analyst")
    shown = signed_in(analyst).get(f"{LAKE}/views/main/rich").content.decode()
    assert '"withheld":"Its text names' in shown
    assert "paid" not in shown
    with pytest.raises(BindError) as refused:
        plan(actor=analyst, workspace=workspace, sql="SELECT * FROM rich")
    assert "paid" not in str(refused.value.as_dict())


def test_it_lists_many_views_in_as_many_statements_as_few(
    cast: Cast, written_lake: WrittenLake
) -> None:
    written_lake.run(*TABLES, "CREATE VIEW v0 AS SELECT id FROM people")
    analyst = cast.actor("analyst")

    def statements() -> int:
        with CaptureQueriesContext(connection) as sent:
            assert names(analyst, written_lake)
        return len(sent)

    few = statements()
    texts = ("SELECT a.id FROM v{0} a, v{0} b, planes", "SELECT id FROM v{0}")
    for n in range(6):
        written_lake.run(f"CREATE VIEW v{n + 1} AS {texts[n % 2].format(n)}")
    assert names(analyst, written_lake) == [f"v{n}" for n in range(7)]
    assert statements() == few
