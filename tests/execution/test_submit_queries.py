"""From a request to rows: planned, queued or delegated, run on the slice, answered once."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings
from django.db import connection
from django.test import Client

from accounts import keys
from accounts import services as accounts
from accounts.domain import Actor, Scope
from accounts.selectors import actor_for_user
from audit.models import AuditRecord
from catalog import services as catalogs
from catalog.domain import UploadFormat, UploadMode
from catalog.models import Catalog
from catalog.services import jobs
from execution import services
from execution.domain import Place, QueryState, RequestedPlace
from execution.models import Grant, GrantedFile, Query
from execution.services.submit import IdempotencyConflict, PlaceRefused
from governance.services import assign_tag
from tests.cast import Cast
from upend import manifest
from upend.device import DeviceKey
from workspaces.models import Membership, Workspace

pytestmark = pytest.mark.django_db(transaction=True)

QUERIES = "/api/v1/workspaces/flight-ops/queries"
PLANS = "/api/v1/workspaces/flight-ops/plans"
SAVED = "/api/v1/workspaces/flight-ops/saved-queries"
DELAYS = "SELECT carrier, count(*) AS n, sum(delay) AS total FROM delays GROUP BY ALL ORDER BY ALL"
SignedIn = Callable[[Actor], Client]


def delays() -> pa.Table:
    sql = (
        "SELECT i AS id, 'C' || (i % 5) AS carrier, (i * 7 % 300 / 10)::DECIMAL(9,1) AS delay"
        " FROM range(20000) t(i)"
    )
    return duckdb.sql(sql).to_arrow_table()


def expected() -> list[list[Any]]:
    given = delays()
    rows = duckdb.from_arrow(given).query("delays", DELAYS).fetchall()
    return [[carrier, n, str(total)] for carrier, n, total in rows]


@pytest.fixture
def flights(workspace: Workspace, owner: Actor) -> Catalog:
    catalog = catalogs.create_catalog(actor=owner, workspace=workspace, name="flights")
    jobs.run_next_job(catalog)
    content = io.BytesIO()
    pq.write_table(delays(), content)
    catalogs.upload_table(
        actor=owner,
        catalog=catalog,
        file=io.BytesIO(content.getvalue()),
        size_bytes=len(content.getvalue()),
        schema="main",
        table="delays",
        file_name="delays.parquet",
        format=UploadFormat.PARQUET,
        mode=UploadMode.CREATE,
    )
    job = jobs.run_next_job(catalog)
    assert job is not None
    assert job.problem is None, job.problem
    return catalog


@pytest.fixture
def on_laptop(cast: Cast, analyst: Actor, owner: Actor) -> tuple[Actor, DeviceKey]:
    key = DeviceKey(Ed25519PrivateKey.generate())
    device = accounts.enroll_device(
        actor=analyst, name="laptop", public_jwk=key.public_jwk, memory_bytes=16 * 2**30
    )
    device = accounts.approve_device(actor=owner, device=device)
    return actor_for_user(cast.users["analyst"], device=device.identity), key


def submit(actor: Actor, workspace: Workspace, sql: str = DELAYS, **more: Any) -> Query:
    return services.submit_query(actor=actor, workspace=workspace, sql=sql, **more).query


def run(query: Query) -> Query:
    services.run_query(query.id, worker="test")
    query.refresh_from_db()
    return query


def post(client: Client, address: str, body: dict[str, Any], **headers: str) -> Any:
    return client.post(address, json.dumps(body), content_type="application/json", headers=headers)


# --- On the server ----------------------------------------------------------------------------
def test_it_answers_over_http_from_submission_to_rows(
    flights: Catalog, analyst: Actor, signed_in: SignedIn
) -> None:
    client = signed_in(analyst)
    answer = post(client, QUERIES, {"sql": DELAYS, "catalog": "flights", "place": "server"})
    document = answer.json()
    assert (answer.status_code, document["state"], document["notice"]) == (201, "queued", "")
    assert document["plan"]["tables"][0]["table"] == "flights.main.delays"
    services.run_query(UUID(document["id"]), worker="test")
    document = client.get(f"{QUERIES}/{document['id']}").json()
    assert document["state"] == "succeeded", document["problem"]
    assert document["bytes_read"] > 0
    page = client.get(document["links"]["result"]).json()
    assert page["rows"] == expected()
    assert [c["type"] for c in page["columns"]] == ["VARCHAR", "BIGINT", "DECIMAL(38,1)"]


def test_it_plans_without_running(flights: Catalog, analyst: Actor, signed_in: SignedIn) -> None:
    plan = post(signed_in(analyst), PLANS, {"sql": DELAYS}).json()
    assert (plan["place"], plan["requested"]) == ("server", "auto")
    assert plan["scan_bytes"] <= plan["total_bytes"]
    assert not Query.objects.exists()


def test_it_runs_for_a_program_with_the_scope(
    flights: Catalog, agent: Actor, bearer: Callable[..., dict[str, str]]
) -> None:
    body = {"sql": DELAYS}
    answer = post(Client(headers=bearer(agent, Scope.QUERY_RUN)), QUERIES, body)
    assert answer.status_code == 201, answer.json()
    assert run(Query.objects.get()).row_count == 5
    narrow = post(Client(headers=bearer(agent, Scope.CATALOG_READ)), QUERIES, body)
    assert narrow.json()["code"] == "insufficient-scope"


def test_it_asks_again_for_permission_when_it_runs(
    flights: Catalog, analyst: Actor, workspace: Workspace, cast: Cast
) -> None:
    query = submit(analyst, workspace)
    cast.users["analyst"].membership_set.all().delete()
    run(query)
    assert query.state == QueryState.FAILED
    assert query.problem is not None
    assert query.problem["code"] == "access-denied"
    assert AuditRecord.objects.filter(event="query.failed").exists()


def test_it_runs_on_the_snapshot_that_was_planned(
    flights: Catalog, analyst: Actor, owner: Actor, workspace: Workspace
) -> None:
    query = submit(analyst, workspace, "SELECT count(*) AS n FROM delays")
    catalogs.upload_table(
        actor=owner,
        catalog=flights,
        file=io.BytesIO(b"id,carrier,delay\n1,C1,1.0\n"),
        size_bytes=26,
        schema="main",
        table="delays",
        file_name="more.csv",
        format=UploadFormat.CSV,
        mode=UploadMode.APPEND,
    )
    job = jobs.run_next_job(flights)
    assert job is not None
    assert job.problem is None
    page = services.read_page(actor=analyst, query=run(query))
    assert page.rows == [[20000]]
    now = run(submit(analyst, workspace, "SELECT count(*) AS n FROM delays"))
    assert services.read_page(actor=analyst, query=now).rows == [[20001]]


# --- Rows are data ----------------------------------------------------------------------------
@pytest.mark.parametrize("form", ["json", "arrow", "csv"])
def test_it_shows_an_auditor_the_query_but_not_its_rows(
    flights: Catalog, cast: Cast, analyst: Actor, signed_in: SignedIn, form: str
) -> None:
    auditor, steward = cast.actor("auditor"), cast.actor("steward")
    address = f"{QUERIES}/{run(submit(analyst, cast.workspace)).id}"
    inspector = signed_in(auditor)
    assert inspector.get(address).json()["state"] == "succeeded"
    refused = inspector.get(f"{address}/result?format={form}")
    assert (refused.status_code, refused.json()["code"]) == (403, "access-denied")
    assert AuditRecord.objects.get(event="decision.denied").actor_id == auditor.id
    assert not AuditRecord.objects.filter(event="result.read").exists()
    assert signed_in(steward).get(f"{address}/result").json()["rows"] == expected()


def test_it_reads_nobody_a_result_of_tables_they_may_no_longer_query(
    flights: Catalog, analyst: Actor, workspace: Workspace, signed_in: SignedIn
) -> None:
    address = f"{QUERIES}/{run(submit(analyst, workspace)).id}/result"
    client = signed_in(analyst)
    assert client.get(address).json()["rows"] == expected()
    Membership.objects.filter(user_id=analyst.id).delete()
    assert client.get(address).status_code in {403, 404}


# --- Once -------------------------------------------------------------------------------------
def test_it_answers_a_repeated_key_with_the_query_it_made(
    flights: Catalog, analyst: Actor, agent: Actor, workspace: Workspace, signed_in: SignedIn
) -> None:
    client, body = signed_in(analyst), {"sql": DELAYS}
    first = post(client, QUERIES, body, **{"Idempotency-Key": "k"})
    second = post(client, QUERIES, body, **{"Idempotency-Key": "k"})
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["id"] == second.json()["id"]
    other = post(client, QUERIES, {"sql": "SELECT 1"}, **{"Idempotency-Key": "k"})
    assert (other.status_code, other.json()["code"]) == (409, "idempotency-conflict")
    assert (
        submit(agent, workspace, idempotency_key="k").id != Query.objects.earliest("created_at").id
    )
    with pytest.raises(IdempotencyConflict):
        submit(analyst, workspace, idempotency_key="k", requested=RequestedPlace.SERVER)


def test_it_makes_one_query_of_racing_requests(
    flights: Catalog, analyst: Actor, workspace: Workspace
) -> None:
    found: list[Any] = []
    barrier = threading.Barrier(6)

    def race() -> None:
        barrier.wait()
        found.append(submit(analyst, workspace, idempotency_key="race").id)
        connection.close()

    racers = [threading.Thread(target=race) for _ in range(6)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert len(found) == 6
    assert len(set(found)) == 1
    assert AuditRecord.objects.filter(event="query.submitted").count() == 1


# --- Refusals ---------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("sql", "status"),
    [
        ("DROP TABLE delays", 422),
        ("SELECT * FROM read_text('/etc/passwd')", 422),
        ("SELECT * FROM delay", 404),
    ],
)
def test_it_refuses_what_may_not_run_makes_no_row_and_records_the_attempt(
    flights: Catalog, analyst: Actor, signed_in: SignedIn, sql: str, status: int
) -> None:
    answer = post(signed_in(analyst), QUERIES, {"sql": sql})
    assert answer.status_code == status, answer.json()
    assert answer["Content-Type"] == "application/problem+json"
    assert not Query.objects.exists()
    record = AuditRecord.objects.get(event="plan.refused")
    assert record.actor_id == analyst.id
    assert record.after is not None
    assert record.after["sql"] == sql
    assert record.after["problem"]["code"] == answer.json()["code"]


def test_it_knows_no_workspace_of_others(
    flights: Catalog, outsider: Actor, signed_in: SignedIn
) -> None:
    assert post(signed_in(outsider), QUERIES, {"sql": DELAYS}).status_code == 404


def test_it_refuses_the_place_local_without_an_approved_device_and_records_it(
    flights: Catalog, analyst: Actor, signed_in: SignedIn, workspace: Workspace
) -> None:
    answer = post(signed_in(analyst), QUERIES, {"sql": DELAYS, "place": "local"})
    assert (answer.status_code, answer.json()["code"]) == (403, "place-refused")
    assert answer.json()["plan"]["refusal"]["text"] == answer.json()["detail"]
    record = AuditRecord.objects.get(event="plan.refused")
    assert (record.workspace_id, record.actor_id) == (workspace.id, analyst.id)


def test_it_keeps_a_query_while_the_broker_is_away(
    flights: Catalog, analyst: Actor, workspace: Workspace, broker_away: Callable[[], None]
) -> None:
    started = time.monotonic()
    submission = services.submit_query(actor=analyst, workspace=workspace, sql=DELAYS)
    assert "broker" in submission.notice
    assert services.sweep()["announced"] == 0
    assert time.monotonic() - started < 10, "submitting must not wait for the broker"
    broker_away()
    assert services.sweep()["announced"] == 1
    assert run(submission.query).state == QueryState.SUCCEEDED


# --- On a device ------------------------------------------------------------------------------
def delegated(actor: Actor, workspace: Workspace) -> Query:
    query = submit(actor, workspace, requested=RequestedPlace.LOCAL)
    assert (query.place, query.state) == (Place.LOCAL, QueryState.DELEGATED)
    return query


def test_it_delegates_to_an_approved_device_by_a_manifest_that_the_client_trusts(
    flights: Catalog, on_laptop: tuple[Actor, DeviceKey], workspace: Workspace, tmp_path: Any
) -> None:
    actor, key = on_laptop
    query = delegated(actor, workspace)
    text = services.issue_grant(actor=actor, query=query)
    verified = manifest.verify(
        text,
        expected=manifest.Expectation(
            server_url=settings.PUBLIC_URL,
            device_thumbprint=key.thumbprint,
            query_id=str(query.id),
            sql=DELAYS,
        ),
        keys=manifest.ServerKeys(tmp_path / "keys.json", keys.published),
    )
    file = GrantedFile.objects.get()
    assert verified.paths == [f"{settings.PUBLIC_URL}/files/{Grant.objects.get().id}/0"]
    assert verified.body["files"]["total_bytes"] == file.size_bytes
    answer = Client(headers={"Authorization": f"Bearer {verified.bearer}"}).get(
        f"/files/{file.grant_id}/0"
    )
    assert answer.status_code == 307


def test_it_issues_no_manifest_for_a_table_tagged_since(
    flights: Catalog,
    on_laptop: tuple[Actor, DeviceKey],
    steward: Actor,
    workspace: Workspace,
    signed_in: SignedIn,
) -> None:
    actor, _ = on_laptop
    query = delegated(actor, workspace)
    assign_tag(actor=steward, securable=flights.securable, tag="personal-data")
    with pytest.raises(Exception, match="personal-data"):
        services.issue_grant(actor=actor, query=query)
    with pytest.raises(PlaceRefused):
        submit(actor, workspace, requested=RequestedPlace.LOCAL)
    assert submit(actor, workspace).place == Place.SERVER
    assert not Grant.objects.exists()


def test_it_keeps_what_a_query_was_asked_with(
    flights: Catalog, analyst: Actor, signed_in: SignedIn
) -> None:
    body = {"sql": "SELECT sum(delay) FROM flights.main.delays", "purpose": "audit-2026"}
    answer = signed_in(analyst).post(
        QUERIES, body, content_type="application/json", headers={"Upend-Purpose": "another"}
    )
    assert answer.status_code == 201
    query = Query.objects.get()
    [estimate] = query.plan["tables"]
    assert list(query.asked["bytes"].values()) == [estimate["scan_bytes"]]
    assert estimate["scan_bytes"] > 0
    assert (query.asked["purpose"], query.asked["mfa"]) == ("audit-2026", False)
    record = AuditRecord.objects.get(event="query.submitted")
    assert record.after is not None
    assert record.after["asked"] == query.asked
    assert answer.json()["purpose"] == "audit-2026"


def test_it_takes_a_purpose_from_the_header_and_refuses_a_long_one(
    flights: Catalog, analyst: Actor, signed_in: SignedIn
) -> None:
    body = {"sql": DELAYS.replace("delays", "flights.main.delays")}
    client = signed_in(analyst)
    headers = {"Upend-Purpose": "monthly report"}
    answer = client.post(QUERIES, body, content_type="application/json", headers=headers)
    assert answer.json()["purpose"] == "monthly report"
    headers = {"Upend-Purpose": "x" * 201}
    answer = client.post(QUERIES, body, content_type="application/json", headers=headers)
    assert answer.json()["code"] == "invalid"
