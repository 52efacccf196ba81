"""Definitions change through the one writer, as previewed, and what hangs on columns follows."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.domain import Actor
from audit.models import AuditRecord
from catalog import lake, selectors
from catalog import services as catalogs
from catalog.domain import JobState, Table
from catalog.models import Catalog, Job
from catalog.services import jobs
from catalog.tables import operations, types
from catalog.tables.definitions import newest_layout
from catalog.tables.layout import InvalidChange
from execution.services.saved import save_query
from governance import securables
from governance import services as governance
from governance.tags import own_column_tags
from tests.cast import Cast
from workspaces.models import Workspace

pytestmark = pytest.mark.django_db(transaction=True)

BASE = "/api/v1/workspaces/flight-ops/catalogs/flights"
COLUMNS = [
    {"name": "id", "type": "int", "nulls_allowed": False, "comment": "Whose it is"},
    {"name": "email", "type": "text", "default": "it's"},
    {"name": "seen_on", "type": "DATE"},
    {"name": "paid", "type": "decimal(10,2)", "default": 1.5},
    {"name": "info", "type": "STRUCT(city text, zip INT[])"},
]


@pytest.fixture
def flights(workspace: Workspace, owner: Actor) -> Catalog:
    catalog = catalogs.create_catalog(actor=owner, workspace=workspace, name="flights")
    assert catalogs.run_jobs(catalog.id) == 1
    return catalog


@pytest.fixture
def client(cast: Cast, signed_in: Callable[[Actor], Client]) -> Client:
    return signed_in(cast.actor("owner"))


def send(client: Client, path: str, body: dict[str, Any], **headers: str) -> Any:
    return client.post(
        f"{BASE}{path}", json.dumps(body), content_type="application/json", headers=headers
    )


def change(client: Client, *asked: dict[str, Any], **headers: str) -> Any:
    return send(client, "/tables/main/people/changes", {"operations": list(asked)}, **headers)


def made(client: Client, catalog: Catalog) -> None:
    keys = {
        "partition_by": [{"column": "seen_on", "transform": "year"}],
        "sort_by": [{"column": "ID", "descending": True}],
    }
    body = {"name": "people", "columns": COLUMNS, "comment": "Who flew"} | keys
    assert send(client, "/tables", body).status_code == 202
    finished(catalog)


def finished(catalog: Catalog) -> Job:
    job = jobs.run_next_job(catalog)
    assert job is not None
    assert job.state == JobState.SUCCEEDED, job.problem
    return job


def people(catalog: Catalog, name: str = "people") -> Table:
    found = lake.table(catalog, lake.latest_snapshot(catalog).snapshot_id, "main", name)
    assert found is not None
    return found


def test_it_makes_a_table_as_described(client: Client, flights: Catalog) -> None:
    made(client, flights)
    shown = client.get(f"{BASE}/tables/main/people").json()
    assert [(c["name"], c["type"]) for c in shown["columns"]] == [
        ("id", "INTEGER"),
        ("email", "VARCHAR"),
        ("seen_on", "DATE"),
        ("paid", "DECIMAL(10,2)"),
        ("info", 'STRUCT("city" VARCHAR, "zip" INTEGER[])'),
    ]
    assert shown["columns"][0] | {"default_value": None} == {
        "name": "id",
        "type": "INTEGER",
        "nulls_allowed": False,
        "default_value": None,
        "comment": "Whose it is",
    }
    assert [c["default_value"] for c in shown["columns"][1:4]] == ["it's", None, "1.5"]
    assert shown["comment"] == "Who flew"
    assert shown["partition_by"] == ["year(seen_on)"]
    assert shown["sort_by"] == ["id descending"]


def test_it_previews_and_then_does_every_change(client: Client, flights: Catalog) -> None:
    made(client, flights)
    asked: list[dict[str, Any]] = [
        {"op": "rename_column", "column": "ID", "to": "person id"},
        {"op": "promote_column", "column": "person id", "type": "bigint"},
        {"op": "add_column", "column": 'odd "name"', "type": "INTEGER", "default": 7},
        {"op": "set_default", "column": 'odd "name"', "default": 9},
        {"op": "comment_column", "column": 'odd "name"', "comment": "it's odd"},
        {"op": "set_nullable", "column": "person id", "nulls_allowed": True},
        {"op": "sort_by", "sort_by": []},
        {"op": "partition_by", "partition_by": [{"column": "email", "transform": "identity"}]},
        {"op": "drop_column", "column": "paid"},
        {"op": "comment_table", "comment": ""},
        {"op": "rename_table", "to": "persons"},
    ]
    before = lake.latest_snapshot(flights)
    body = {"operations": asked, "dry_run": True}
    shown = send(client, "/tables/main/people/changes", body)
    assert shown.status_code == 200, shown.json()
    assert len(shown.json()["steps"]) == len(asked)
    assert lake.latest_snapshot(flights) == before
    assert not Job.objects.filter(state=JobState.QUEUED).exists()

    assert change(client, *asked).status_code == 202
    finished(flights)
    layout = newest_layout(flights, people(flights, "persons"))
    assert [(c.name, c.type, c.default) for c in layout.columns] == [
        ("person id", "BIGINT", None),
        ("email", "VARCHAR", "it's"),
        ("seen_on", "DATE", None),
        ("info", 'STRUCT("city" VARCHAR, "zip" INTEGER[])', None),
        ('odd "name"', "INTEGER", "9"),
    ]
    assert layout.columns[-1].comment == "it's odd"
    assert (layout.comment, layout.sort_by) == ("", ())
    assert [key.shown for key in layout.partition_by] == ["email"]
    newest = lake.latest_snapshot(flights)
    assert newest.snapshot_id == before.snapshot_id + len(asked)
    assert AuditRecord.objects.filter(event="table.altered").count() == 2


def test_it_keeps_tags_on_a_renamed_column_and_tells_what_a_drop_takes(
    client: Client, flights: Catalog, owner: Actor
) -> None:
    made(client, flights)
    table = people(flights)
    column = next(c for c in table.securable_columns if c.path == ("email",))
    parent = table.securable(flights.securable)
    governance.assign_tag(actor=owner, securable=securables.column(column, parent), tag="pii")
    change(client, {"op": "rename_column", "column": "email", "to": "mail"})
    finished(flights)
    renamed = people(flights)
    again = next(c for c in renamed.securable_columns if c.path == ("mail",))
    assert again.key == column.key
    assert {"pii"} == {
        str(tag) for tag in own_column_tags(renamed.securable(flights.securable))[again.key]
    }
    body = {"operations": [{"op": "drop_column", "column": "mail"}], "dry_run": True}
    breaks = send(client, "/tables/main/people/changes", body).json()["breaks"]
    assert [(one["kind"], one["name"]) for one in breaks] == [("tag", "pii")]


def test_it_names_the_saved_queries_that_may_fail(
    client: Client, flights: Catalog, owner: Actor, workspace: Workspace
) -> None:
    made(client, flights)
    for name, sql in {
        "by column": "SELECT email FROM flights.people",
        "other column": "SELECT id FROM flights.main.people",
        "other table": "SELECT email FROM flights.main.planes",
    }.items():
        save_query(actor=owner, workspace=workspace, name=name, sql=sql)
    body = {"operations": [{"op": "drop_column", "column": "email"}], "dry_run": True}
    found = send(client, "/tables/main/people/changes", body).json()["breaks"]
    assert [one["name"] for one in found] == ["by column"]
    body["operations"] = [{"op": "rename_table", "to": "persons"}]
    found = send(client, "/tables/main/people/changes", body).json()["breaks"]
    assert [one["name"] for one in found] == ["by column", "other column"]


def test_it_fails_whole_where_another_change_came_first(client: Client, flights: Catalog) -> None:
    made(client, flights)
    version = client.get(f"{BASE}/tables/main/people").headers["ETag"]
    one = {"op": "rename_column", "column": "email", "to": "mail"}
    two = {"op": "drop_column", "column": "email"}
    assert change(client, one, **{"If-Match": version}).status_code == 202
    assert change(client, two, **{"If-Match": version}).status_code == 202
    finished(flights)
    late = jobs.run_next_job(flights)
    assert late is not None
    assert late.state == JobState.FAILED
    assert (late.problem or {})["code"] == "table-changed"
    refused = change(client, two, **{"If-Match": version})
    assert (refused.status_code, refused.json()["code"]) == (412, "table-changed")
    assert "mail" in {column.name for column in people(flights).top_columns}


def test_it_takes_one_key_once(client: Client, flights: Catalog) -> None:
    made(client, flights)
    add = {"op": "add_column", "column": "x", "type": "INT"}
    first = change(client, add, **{"Idempotency-Key": "k"})
    finished(flights)
    again = change(client, add, **{"Idempotency-Key": "k"})
    assert again.status_code == 202, again.json()
    assert again.json()["id"] == first.json()["id"]
    other = change(client, {"op": "drop_table"}, **{"Idempotency-Key": "k"})
    assert (other.status_code, other.json()["code"]) == (409, "idempotency-conflict")


def test_it_refuses_what_does_not_fit(client: Client, flights: Catalog) -> None:
    made(client, flights)
    refused: list[tuple[dict[str, Any], str]] = [
        ({"op": "add_column", "column": "ID", "type": "INT"}, "already"),
        ({"op": "add_column", "column": "row_id", "type": "INT"}, "DuckLake uses"),
        ({"op": "add_column", "column": "x", "type": "INT); DROP TABLE x"}, "not a type"),
        ({"op": "add_column", "column": "x", "type": "DATE", "default": "soon"}, "no DATE"),
        ({"op": "add_column", "column": "x", "type": "INT", "to": "y"}, "no such member"),
        ({"op": "set_default", "column": "seen_on", "default": "soon"}, "no DATE"),
        ({"op": "drop_column", "column": "nothing"}, "no column"),
        ({"op": "drop_column", "column": "seen_on"}, "partitioned by"),
        ({"op": "promote_column", "column": "id", "type": "FLOAT"}, "exactly"),
        ({"op": "promote_column", "column": "email", "type": "BLOB"}, "exactly"),
        ({"op": "promote_column", "column": "paid", "type": "DECIMAL(12,4)"}, "exactly"),
        ({"op": "rename_table", "to": "Odd Name"}, "cannot be the name"),
        ({"op": "sort_by", "sort_by": [{"column": "id"}, {"column": "ID"}]}, "the same"),
    ]
    for asked, says in refused:
        answer = change(client, asked)
        assert answer.status_code in {400, 422}, asked
        assert says in json.dumps(answer.json()), asked
    assert not Job.objects.filter(state=JobState.QUEUED).exists()


def test_it_drops_a_table_and_then_its_schema(client: Client, flights: Catalog) -> None:
    assert send(client, "/schemas", {"name": "raw"}).status_code == 202
    finished(flights)
    body = {"name": "t", "schema": "raw", "columns": [{"name": "a", "type": "INT"}]}
    assert send(client, "/tables", body).status_code == 202
    finished(flights)
    assert client.delete(f"{BASE}/schemas/raw").json()["code"] == "schema-not-empty"
    gone = {"operations": [{"op": "drop_table"}]}
    assert send(client, "/tables/raw/t/changes", gone).status_code == 202
    finished(flights)
    assert client.delete(f"{BASE}/schemas/raw").status_code == 202
    finished(flights)
    newest = lake.latest_snapshot(flights).snapshot_id
    assert lake.schemas(flights, newest) == ["main"]


def test_it_lets_only_those_change_a_table_who_may(
    client: Client, flights: Catalog, cast: Cast, signed_in: Callable[[Actor], Client]
) -> None:
    made(client, flights)
    add = {"op": "add_column", "column": "x", "type": "INT"}
    found = {
        name: change(signed_in(cast.actor(name)), add).status_code
        for name in ("owner", "steward", "analyst", "agent", "auditor", "outsider")
    }
    assert found == {
        "owner": 202,
        "steward": 202,
        "analyst": 403,
        "agent": 403,
        "auditor": 403,
        "outsider": 404,
    }


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("timestamptz", "TIMESTAMP WITH TIME ZONE"),
        ("time with time zone", "TIME WITH TIME ZONE"),
        ("double precision[][]", "DOUBLE[][]"),
        ("map(text, numeric)", "MAP(VARCHAR, DECIMAL(18,3))"),
        ('struct("a b" int, c struct(d date))', 'STRUCT("a b" INTEGER, "c" STRUCT("d" DATE))'),
    ],
)
def test_it_reads_types_as_the_engine_spells_them(text: str, kind: str) -> None:
    assert types.canonical(text) == kind


@pytest.mark.parametrize(
    "text", ["", "INT INT", "STRUCT()", "DECIMAL(40,2)", "INT -- x", "x(1)", "INT[", "a" * 3000]
)
def test_it_refuses_what_is_no_type(text: str) -> None:
    with pytest.raises(types.InvalidType):
        types.canonical(text)


def test_it_refuses_to_drop_the_last_column(client: Client, flights: Catalog) -> None:
    send(client, "/tables", {"name": "people", "columns": [{"name": "a", "type": "INT"}]})
    finished(flights)
    layout = newest_layout(flights, people(flights))
    with pytest.raises(InvalidChange, match="at least one"):
        operations.DropColumn("a").apply(layout)
    assert selectors.snapshot_of(flights, None).snapshot_id
