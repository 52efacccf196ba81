"""The catalog's endpoints: who may call what, and what they answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from accounts.domain import Actor
from catalog import services as catalogs
from catalog.models import Catalog, Job
from tests.cast import Cast
from workspaces.models import Workspace

pytestmark = pytest.mark.django_db(transaction=True)

BASE = "/api/v1/workspaces/flight-ops"
CATALOG = f"{BASE}/catalogs/flights"
ACTORS = ("owner", "steward", "analyst", "agent", "auditor", "outsider", "nobody")
TABLE: list[tuple[str, str, tuple[int, ...]]] = [
    ("GET", f"{BASE}/catalogs", (200, 200, 200, 200, 200, 404, 401)),
    ("POST", f"{BASE}/catalogs", (201, 403, 403, 403, 403, 404, 401)),
    ("GET", CATALOG, (200, 200, 200, 200, 200, 404, 401)),
    ("GET", f"{CATALOG}/tables", (200, 200, 200, 200, 200, 404, 401)),
    ("GET", f"{CATALOG}/tables/main/t", (200, 200, 200, 200, 200, 404, 401)),
    ("GET", f"{CATALOG}/snapshots", (200, 200, 200, 200, 200, 404, 401)),
    ("POST", f"{CATALOG}/uploads", (202, 202, 403, 403, 403, 404, 401)),
    ("GET", f"{BASE}/jobs/{{job}}", (200, 200, 200, 200, 200, 404, 401)),
    ("PATCH", CATALOG, (200, 403, 403, 403, 403, 404, 401)),
    ("PUT", f"{CATALOG}/archive", (200, 403, 403, 403, 403, 404, 401)),
    ("DELETE", f"{CATALOG}/archive", (200, 403, 403, 403, 403, 404, 401)),
    ("GET", f"{BASE}/dropped-catalogs", (200, 200, 200, 200, 200, 404, 401)),
    ("DELETE", CATALOG, (200, 403, 403, 403, 403, 404, 401)),
    ("POST", f"{BASE}/dropped-catalogs/flights/restore", (200, 404, 404, 404, 404, 404, 401)),
]


@pytest.fixture
def flights(workspace: Workspace, owner: Actor) -> Catalog:
    catalog = catalogs.create_catalog(actor=owner, workspace=workspace, name="flights")
    assert catalogs.run_jobs(catalog.id) == 1
    return catalog


@pytest.fixture
def owner_client(cast: Cast, signed_in: Callable[[Actor], Client]) -> Client:
    return signed_in(cast.actor("owner"))


def upload(client: Client, content: bytes = b"a,b\n1,x\n", **given: Any) -> Any:
    headers = given.pop("headers", {})
    form = {"table": "t", "file": SimpleUploadedFile("my.csv", content)} | given
    return client.post(f"{CATALOG}/uploads", form, headers=headers)


def called(client: Client, verb: str, path: str, actor: str) -> Any:
    if path.endswith("/uploads"):
        return upload(client, table=f"by_{actor}")
    name = "back" if path.endswith("/restore") else f"by_{actor}"
    body = json.dumps({"name": name}) if verb == "POST" else ""
    return client.generic(verb, path, data=body, content_type="application/json")


def test_it_answers_each_actor(
    cast: Cast, flights: Catalog, signed_in: Callable[[Actor], Client]
) -> None:
    upload(signed_in(cast.actor("owner")))
    catalogs.run_jobs(flights.id)
    job = Job.objects.latest("created_at").id
    found, expected = {}, {}
    for verb, path, statuses in TABLE:
        by_actor = list(zip(ACTORS, statuses, strict=True))
        for actor, status in reversed(by_actor):  # the owner drops the catalog last
            client = Client() if actor == "nobody" else signed_in(cast.actor(actor))
            answer = called(client, verb, path.format(job=job), actor)
            found[verb, path, actor] = answer.status_code
            expected[verb, path, actor] = status
            if status >= 400:
                assert answer.headers["Content-Type"] == "application/problem+json"
    assert found == expected


def test_it_takes_a_file_all_the_way_into_a_table(
    cast: Cast, flights: Catalog, signed_in: Callable[[Actor], Client]
) -> None:
    client = signed_in(cast.actor("steward"))
    answer = upload(client, headers={"Idempotency-Key": "once"})
    again = upload(client, headers={"Idempotency-Key": "once"})
    assert (answer.status_code, answer.json()["id"]) == (202, again.json()["id"])
    assert answer.json()["request"]["file_name"] == "my.csv"
    catalogs.run_jobs(flights.id)
    job = client.get(f"{BASE}/jobs/{answer.json()['id']}").json()
    assert (job["state"], job["result"]["rows"]) == ("succeeded", 1)
    table = client.get(f"{CATALOG}/tables/main/T").json()
    plain = {"default_value": None, "comment": ""}
    assert table["columns"] == [
        {"name": "a", "type": "BIGINT", "nulls_allowed": True} | plain,
        {"name": "b", "type": "VARCHAR", "nulls_allowed": True} | plain,
    ]
    assert (table["record_count"], table["may_query"]) == (1, True)
    [listed] = client.get(f"{CATALOG}/tables").json()["results"]
    assert listed["sql_name"] == "flights.main.t"
    [newest, *_] = client.get(f"{CATALOG}/snapshots?limit=1").json()["results"]
    assert newest["author"] == "steward@demo-air.example"
    before = client.get(f"{CATALOG}/tables?snapshot={newest['snapshot_id'] - 1}").json()
    assert before["results"] == []


@pytest.mark.parametrize(
    ("path", "code", "hint"),
    [
        (f"{BASE}/catalogs/flihgts", "unknown-catalog", "Did you mean flights?"),
        (f"{CATALOG}/tables/main/tt", "unknown-table", "Did you mean flights.main.t?"),
        (f"{CATALOG}/tables?snapshot=99", "unknown-snapshot", "Its newest one is 1."),
    ],
)
def test_it_asks_whether_another_name_was_meant(
    flights: Catalog, owner_client: Client, path: str, code: str, hint: str
) -> None:
    client = owner_client
    upload(client)
    catalogs.run_jobs(flights.id)
    problem = client.get(path).json()
    assert (problem["code"], problem["hint"]) == (code, hint)


@pytest.mark.parametrize("name", ["1st", "Flights", "a b", "memory", "pg_x", "x" * 64, "ä"])
def test_it_refuses_names_that_sql_would_stumble_over(
    cast: Cast, signed_in: Callable[[Actor], Client], name: str
) -> None:
    client = signed_in(cast.actor("owner"))
    answer = client.post(
        f"{BASE}/catalogs", json.dumps({"name": name}), content_type="application/json"
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-name")
    assert not Catalog.objects.exists()


def test_it_refuses_a_name_that_is_taken(
    cast: Cast, flights: Catalog, signed_in: Callable[[Actor], Client]
) -> None:
    client = signed_in(cast.actor("owner"))
    body = json.dumps({"name": "flights"})
    answer = client.post(f"{BASE}/catalogs", body, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (409, "catalog-name-taken")


def test_it_refuses_files_that_are_too_large(
    cast: Cast,
    flights: Catalog,
    signed_in: Callable[[Actor], Client],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(settings, "UPLOAD_MAX_BYTES", 4)
    answer = upload(signed_in(cast.actor("owner")))
    assert (answer.status_code, answer.json()["code"]) == (413, "upload-too-large")
    assert Job.objects.count() == 1


def test_it_asks_for_the_format_where_the_name_does_not_tell(
    cast: Cast, flights: Catalog, signed_in: Callable[[Actor], Client]
) -> None:
    file = SimpleUploadedFile("my.xlsx", b"x")
    answer = upload(signed_in(cast.actor("owner")), file=file)
    assert (answer.status_code, answer.json()["hint"]) == (
        422,
        "Send `format`: csv, json or parquet.",
    )


def test_it_says_that_the_broker_is_down_and_loses_nothing(
    flights: Catalog, owner_client: Client, broker_away: object
) -> None:
    answer = upload(owner_client)
    assert answer.status_code == 202
    assert "broker is down" in answer.json()["notice"]
    assert catalogs.run_jobs(flights.id) == 1
