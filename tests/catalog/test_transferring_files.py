"""Large files, part by part: resumed, looked at, loaded again, and nobody else's."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.test import Client
from django.utils import timezone

from accounts.domain import Actor
from audit.domain import Event
from audit.models import AuditRecord
from catalog import lake, storage
from catalog import services as catalogs
from catalog.domain import JobState, TransferState
from catalog.models import Catalog, Job, Transfer
from catalog.services import transfers
from catalog.storage import multipart
from catalog.writer.column_types import check_types
from problems import Invalid
from tests.cast import Cast
from workspaces.models import Workspace

pytestmark = pytest.mark.django_db(transaction=True)

CATALOG = "/api/v1/workspaces/flight-ops/catalogs/flights"
CONTENT = b"id,name,amount\n" + b"".join(b"%d,n%d,1.5\n" % (n, n) for n in range(1000))


@pytest.fixture
def flights(workspace: Workspace, owner: Actor) -> Catalog:
    catalog = catalogs.create_catalog(actor=owner, workspace=workspace, name="flights")
    assert catalogs.run_jobs(catalog.id) == 1
    return catalog


class Sender:
    """Speaks to the endpoints as a client does."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def call(self, verb: str, path: str = "", body: Any = None) -> Any:
        return self.client.generic(
            verb,
            f"{CATALOG}/transfers{path}",
            data=json.dumps(body) if body is not None else "",
            content_type="application/json",
        )

    def begin(self, **given: Any) -> Any:
        body = {"table": "t", "file_name": "my.csv", "size_bytes": len(CONTENT)} | given
        answer = self.call("POST", body=body)
        assert answer.status_code == 201, answer.content
        return answer.json()

    def send(self, begun: Any, content: bytes = CONTENT) -> None:
        urls = self.call("GET", f"/{begun['id']}/parts").json()["urls"]
        for number, url in urls.items():
            start = (int(number) - 1) * begun["part_bytes"]
            assert httpx.put(
                url, content=content[start : start + begun["part_bytes"]], timeout=60
            ).is_success
        answer = self.call("POST", f"/{begun['id']}:complete")
        assert answer.status_code == 200, answer.content


@pytest.fixture
def sender(cast: Cast, flights: Catalog, signed_in: Callable[[Actor], Client]) -> Sender:
    return Sender(signed_in(cast.actor("owner")))


def test_it_loads_what_was_sent_straight_to_the_storage(flights: Catalog, sender: Sender) -> None:
    begun = sender.begin()
    sender.send(begun)
    job = sender.call("POST", f"/{begun['id']}:load").json()
    assert sender.call("POST", f"/{begun['id']}:load").json()["id"] == job["id"]
    catalogs.run_jobs(flights.id)
    found = sender.call("GET", f"/{begun['id']}").json()
    assert found["job"]["state"] == "succeeded"
    table = lake.table(flights, lake.latest_snapshot(flights).snapshot_id, "main", "t")
    assert table is not None
    assert table.record_count == 1000
    assert not storage.hosted().keys(f"staging/{flights.id}/")


def test_it_goes_on_where_it_was_interrupted(
    flights: Catalog, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multipart, "MIN_PART_BYTES", 5 * 2**20)
    content = CONTENT[:15] + b"1,aaaaaaa,1\n" * (2**20)
    begun = sender.begin(size_bytes=len(content))
    assert begun["part_count"] == 3
    path, part_bytes = f"/{begun['id']}", begun["part_bytes"]
    urls = sender.call("GET", f"{path}/parts").json()["urls"]
    for number in ("3", "1"):
        start = (int(number) - 1) * part_bytes
        httpx.put(urls[number], content=content[start : start + part_bytes], timeout=60)
    refused = sender.call("POST", f"{path}:complete")
    assert (refused.status_code, refused.json()["missing"]) == (409, [2])
    left = sender.call("GET", f"{path}/parts").json()
    assert (left["missing"], list(left["urls"])) == (1, ["2"])
    # The storage does not let this client in: the server takes the part instead.
    address = f"{CATALOG}/transfers{path}/parts"
    kind = "application/octet-stream"
    short = sender.client.put(f"{address}/2", b"short", content_type=kind)
    assert short.status_code == 422
    assert sender.client.put(f"{address}/9", b"x", content_type=kind).status_code == 422
    middle = content[part_bytes : 2 * part_bytes]
    assert sender.client.put(f"{address}/2", middle, content_type=kind).status_code == 204
    for _ in range(2):  # the answer to the first call may be lost
        assert sender.call("POST", f"{path}:complete").json()["state"] == "staged"
    assert storage.hosted().size(Transfer.objects.get().key) == len(content)


def test_it_shows_the_first_rows_to_who_sent_them_and_to_nobody_else(
    cast: Cast, flights: Catalog, sender: Sender, signed_in: Callable[[Actor], Client]
) -> None:
    begun = sender.begin()
    sender.send(begun)
    path = f"/{begun['id']}"
    assert sender.call("POST", f"{path}:preview").status_code == 202
    catalogs.run_jobs(flights.id)
    found = sender.call("GET", path).json()
    assert found["preview"]["columns"][2] == {"name": "amount", "type": "DOUBLE"}
    assert found["preview"]["rows"][1] == ["1", "n1", "1.5"]
    assert len(found["preview"]["rows"]) == 20
    job = Job.objects.get(kind="preview")
    assert job.result == {"columns": 3, "rows": 20}
    assert "n1" not in json.dumps(list(AuditRecord.objects.values("before", "after")), default=str)
    other = Sender(signed_in(cast.actor("steward")))
    for verb, at in (("GET", path), ("POST", f"{path}:load"), ("DELETE", path)):
        assert other.call(verb, at).status_code == 404
    assert Sender(signed_in(cast.actor("analyst"))).call("POST", body={
        "table": "t", "file_name": "my.csv", "size_bytes": 10
    }).status_code == 403  # fmt: skip


def test_it_keeps_the_file_where_loading_it_failed(flights: Catalog, sender: Sender) -> None:
    begun = sender.begin()
    sender.send(begun)
    path = f"/{begun['id']}"
    wrong = sender.call("POST", f"{path}:load", {"types": {"name": "INTEGER"}}).json()
    catalogs.run_jobs(flights.id)
    failed = Job.objects.get(id=wrong["id"])
    assert failed.state == JobState.FAILED
    assert failed.problem is not None
    assert "line 2" in failed.problem["detail"]
    assert sender.call("GET", path).json()["state"] == "staged"
    sender.call("POST", f"{path}:load", {"types": {"amount": "decimal(9, 2)"}, "table": "u"})
    catalogs.run_jobs(flights.id)
    table = lake.table(flights, lake.latest_snapshot(flights).snapshot_id, "main", "u")
    assert table is not None
    assert [c.duckdb_type for c in table.columns] == ["BIGINT", "VARCHAR", "DECIMAL(9,2)"]


def test_it_forgets_what_is_cancelled_and_what_nobody_loads(
    flights: Catalog, sender: Sender, owner: Actor
) -> None:
    first, second = sender.begin(), sender.begin()
    sender.send(first)
    assert sender.call("DELETE", f"/{first['id']}").status_code == 204
    assert sender.call("POST", f"/{first['id']}:load").json()["code"] == "transfer-ended"
    assert transfers.expire_transfers() == 0
    Transfer.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert transfers.expire_transfers() == 1
    states = dict(Transfer.objects.values_list("id", "state"))
    assert {str(k): v for k, v in states.items()} == {
        first["id"]: TransferState.CANCELLED, second["id"]: TransferState.EXPIRED
    }  # fmt: skip
    store = storage.hosted()
    assert not store.keys(f"staging/{flights.id}/")
    listed = store.client.list_multipart_uploads(Bucket=store.bucket, Prefix="staging/")
    assert not listed.get("Uploads")
    assert AuditRecord.objects.filter(event=Event.TRANSFER_CANCELLED).count() == 2


def test_it_takes_types_by_name_only() -> None:
    assert check_types({"a": "decimal(10,2)", "b": "timestamp  with time zone"}) == {
        "a": "DECIMAL(10,2)", "b": "TIMESTAMP WITH TIME ZONE"
    }  # fmt: skip
    for kind in ("INTEGER); DROP TABLE t --", "DECIMAL(39,2)", "DECIMAL(3,9)", "STRUCT(a INT)", ""):
        with pytest.raises(Invalid):
            check_types({"a": kind})


@pytest.mark.parametrize("size_bytes", [1, 8 * 2**20, 10**9, 10**12, 5 * 10**13])
def test_it_asks_for_no_more_parts_than_storage_takes(size_bytes: int) -> None:
    part_bytes = multipart.part_bytes_for(size_bytes)
    assert part_bytes >= 5 * 2**20
    assert -(-size_bytes // part_bytes) <= multipart.MAX_PARTS
