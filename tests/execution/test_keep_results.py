"""Results are kept for their time, within the workspace's room, and leave nothing behind."""

from __future__ import annotations

import base64
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from accounts.domain import Actor
from api.broker import broker
from audit.models import AuditRecord
from catalog import storage
from execution import selectors, services
from execution.domain import QueryState, ResultFormat
from execution.models import Query
from execution.results import at_hand
from execution.results.arrow_file import open_bytes
from execution.results.upload import PART_BYTES, Upload
from execution.services.results import ResultExpired, at_hand_name
from tests.execution.rows import make_query
from workspaces.models import Workspace

pytestmark = pytest.mark.django_db(transaction=True)


def ran(workspace: Workspace, actor: Actor, sql: str = "SELECT 1 AS one", **members: Any) -> Query:
    """Run a query of no tables."""
    query = make_query(workspace, actor, sql, **members)
    services.run_query(query.id, worker="test")
    query.refresh_from_db()
    assert query.state == QueryState.SUCCEEDED, query.problem
    return query


def stored(workspace: Workspace) -> list[str]:
    return storage.hosted().keys(f"results/{workspace.id}/")


def limit(workspace: Workspace, **limits: int) -> None:
    Workspace.objects.filter(id=workspace.id).update(**limits)


def is_kept(query: Query) -> bool:
    query.refresh_from_db()
    return bool(query.result_key)


# --- Room -------------------------------------------------------------------------------------
def test_it_ends_the_results_longest_unused_when_a_new_one_needs_their_room(
    workspace: Workspace, analyst: Actor
) -> None:
    oldest, older = (ran(workspace, analyst, f"SELECT {n} AS n") for n in (1, 2))
    size = oldest.result_bytes or 0
    limit(workspace, max_stored_bytes=size * 2 + size // 2)
    newest = ran(workspace, analyst, "SELECT 3 AS n")
    assert [is_kept(query) for query in (oldest, older, newest)] == [False, True, True]
    assert len(stored(workspace)) == 2
    with pytest.raises(ResultExpired, match="needed the room"):
        services.read_page(actor=analyst, query=oldest)
    record = AuditRecord.objects.get(event="result.evicted")
    assert (record.target_id, record.workspace_id) == (str(oldest.id), workspace.id)


def test_it_keeps_a_result_that_alone_is_over_the_quota(
    workspace: Workspace, analyst: Actor
) -> None:
    limit(workspace, max_stored_bytes=1)
    first, second = ran(workspace, analyst), ran(workspace, analyst)
    assert not is_kept(first)
    assert services.read_page(actor=analyst, query=second).rows == [[1]]


def test_it_counts_an_object_once_and_its_other_formats_too(
    workspace: Workspace, analyst: Actor
) -> None:
    query = ran(workspace, analyst)
    before = selectors.stored_bytes(workspace)
    assert before == query.result_bytes
    services.locate(actor=analyst, query=query, form=ResultFormat.CSV)
    services.run_export(query.exports.get().id)
    shared: dict[str, Any] = {
        "result_key": query.result_key,
        "result_bytes": query.result_bytes,
        "result_expires_at": query.result_expires_at,
        "state": QueryState.SUCCEEDED,
    }
    make_query(workspace, analyst, **shared)
    expected = sum(map(storage.hosted().size, stored(workspace)))
    assert selectors.stored_bytes(workspace) == expected > before


def test_it_counts_an_answer_from_the_cache_as_use(workspace: Workspace, analyst: Actor) -> None:
    used, unused = (ran(workspace, analyst, f"SELECT {n} AS n") for n in (1, 2))
    shared = make_query(
        workspace,
        analyst,
        result_key=used.result_key,
        result_bytes=used.result_bytes,
        result_expires_at=used.result_expires_at,
        state=QueryState.SUCCEEDED,
        finished_at=timezone.now(),
    )
    limit(workspace, max_stored_bytes=(used.result_bytes or 0) * 2 + 10)
    ran(workspace, analyst, "SELECT 3 AS n")
    assert [is_kept(query) for query in (used, shared, unused)] == [True, True, False]


def test_it_leaves_other_workspaces_their_room(
    workspace: Workspace, analyst: Actor, cast: Any
) -> None:
    other = make_query(cast.other_workspace, cast.actor("outsider"))
    services.run_query(other.id, worker="test")
    limit(workspace, max_stored_bytes=1)
    ran(workspace, analyst)
    assert is_kept(other)


# --- What crashes leave -----------------------------------------------------------------------
def test_it_sweeps_objects_and_uploads_that_no_query_names(
    workspace: Workspace, analyst: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = ran(workspace, analyst)
    services.locate(actor=analyst, query=query, form=ResultFormat.PARQUET)
    services.run_export(query.exports.get().id)
    kept = stored(workspace)
    orphan = f"results/{workspace.id}/00000000-0000-0000-0000-000000000001.arrow"
    storage.hosted().put_bytes(orphan, b"of a worker that was killed")
    upload = Upload(storage.hosted(), f"{orphan}.part", "text/plain")
    upload.write(b"x" * PART_BYTES)
    upload.write(b"x" * PART_BYTES)  # the first part has arrived
    services.sweep_orphans()
    assert orphan in stored(workspace), "it may be about to get its row"
    monkeypatch.setattr(settings, "RESULT_TTL_SECONDS", -60)
    assert services.sweep_orphans() >= 2
    assert stored(workspace) == kept
    prefix = f"results/{workspace.id}/"
    listed = storage.hosted().client.list_multipart_uploads(
        Bucket=storage.hosted().bucket, Prefix=prefix
    )
    assert not listed.get("Uploads")
    assert services.read_page(actor=analyst, query=query).rows == [[1]]


# --- The mark of a cut ------------------------------------------------------------------------
def test_it_marks_a_cut_result_wherever_it_is_read(
    workspace: Workspace, analyst: Actor, signed_in: Any
) -> None:
    limit(workspace, max_result_rows=3)
    query = ran(workspace, analyst, "SELECT i FROM range(10) t(i)")
    client: Client = signed_in(analyst)
    address = f"/api/v1/workspaces/flight-ops/queries/{query.id}"
    assert client.get(address).json()["truncated"] is True
    assert client.get(f"{address}/result").json()["truncated"] is True
    for form in ("arrow", "csv", "parquet"):
        client.get(f"{address}/result?format={form}")
        for row in query.exports.exclude(state="ready"):
            services.run_export(row.id)
        answer = client.get(f"{address}/result?format={form}")
        assert answer.status_code == 307
        assert answer["Upend-Truncated"] == "true"
        assert f"-truncated.{form}" in answer["Location"]


def test_it_names_a_whole_result_without_that_mark(
    workspace: Workspace, analyst: Actor, signed_in: Any
) -> None:
    query = ran(workspace, analyst)
    answer = signed_in(analyst).get(
        f"/api/v1/workspaces/flight-ops/queries/{query.id}/result?format=arrow"
    )
    assert answer["Upend-Truncated"] == "false"
    assert "truncated" not in answer["Location"]


# --- Straight to the bucket -------------------------------------------------------------------
def test_it_hands_out_the_bucket_s_address_with_the_query_when_asked(
    workspace: Workspace, analyst: Actor, auditor: Actor, signed_in: Any, tmp_path: Path
) -> None:
    query = ran(workspace, analyst)
    address = f"/api/v1/workspaces/flight-ops/queries/{query.id}"
    client: Client = signed_in(analyst)
    assert client.get(address).json()["result_url"] == ""
    assert not AuditRecord.objects.filter(event="result.read").exists()
    url = client.get(f"{address}?include=result_url").json()["result_url"]
    assert f"{query.id}.arrow" in url
    assert AuditRecord.objects.filter(event="result.read").count() == 1
    seen = signed_in(auditor).get(f"{address}?include=result_url")
    assert (seen.status_code, seen.json()["result_url"]) == (200, "")
    Query.objects.filter(id=query.id).update(
        result_expires_at=timezone.now() - timedelta(seconds=1)
    )
    assert client.get(f"{address}?include=result_url").json()["result_url"] == ""


# --- At hand ----------------------------------------------------------------------------------
def test_it_hands_out_a_small_result_with_the_query_when_asked(
    workspace: Workspace, analyst: Actor, auditor: Actor, signed_in: Any
) -> None:
    query = ran(workspace, analyst, "SELECT i FROM range(3) t(i)")
    address = f"/api/v1/workspaces/flight-ops/queries/{query.id}"
    client: Client = signed_in(analyst)
    assert client.get(address).json()["result"] == ""
    assert not AuditRecord.objects.filter(event="result.read").exists()
    found = client.get(f"{address}?include=result,result_url").json()
    rows = base64.b64decode(found["result"])
    assert open_bytes(rows).read_all().to_pydict() == {"i": [0, 1, 2]}
    assert found["result_url"] == "", "one reading, and one record of it"
    assert AuditRecord.objects.filter(event="result.read").count() == 1
    (key,) = stored(workspace)
    assert storage.hosted().read(key) == rows, "the bucket has the same"
    seen = signed_in(auditor).get(f"{address}?include=result,result_url").json()
    assert (seen["result"], seen["result_url"]) == ("", "")


def test_it_leads_to_the_bucket_where_a_result_is_not_at_hand(
    workspace: Workspace, analyst: Actor, signed_in: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(at_hand, "MOST_BYTES", 10)
    query = ran(workspace, analyst)
    address = f"/api/v1/workspaces/flight-ops/queries/{query.id}"
    found = signed_in(analyst).get(f"{address}?include=result,result_url").json()
    assert found["result"] == ""
    assert f"{query.id}.arrow" in found["result_url"]


def test_it_hands_out_nothing_that_has_expired_though_it_is_at_hand(
    workspace: Workspace, analyst: Actor, signed_in: Any
) -> None:
    query = ran(workspace, analyst)
    Query.objects.filter(id=query.id).update(
        result_expires_at=timezone.now() - timedelta(seconds=1)
    )
    address = f"/api/v1/workspaces/flight-ops/queries/{query.id}"
    assert signed_in(analyst).get(f"{address}?include=result").json()["result"] == ""


def test_it_takes_no_rows_of_another_attempt_or_key(
    workspace: Workspace, analyst: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = ran(workspace, analyst)
    name = at_hand_name(query, query.attempts)
    rows = at_hand.take(name)
    assert rows is not None
    assert at_hand.take(at_hand_name(query, query.attempts + 1)) is None
    sealed = broker().attempt(lambda client: client.get(at_hand.PREFIX + name))
    assert isinstance(sealed, bytes)
    assert rows not in sealed, "who reads the broker reads no rows"
    broker().attempt(lambda client: client.set(f"{at_hand.PREFIX}other", sealed, ex=5))
    assert at_hand.take("other") is None, "what is sealed is sealed under its name"
    monkeypatch.setattr(settings, "SECRET_KEY", "of another installation")
    assert at_hand.take(name) is None


def test_it_reads_a_page_of_what_is_at_hand(workspace: Workspace, analyst: Actor) -> None:
    query = ran(workspace, analyst, "SELECT i FROM range(5000) t(i)")
    storage.hosted().delete(query.result_key)  # only to see where the page comes from
    page = services.read_page(actor=analyst, query=query, offset=4090, limit=3)
    assert page.rows == [[4090], [4091], [4092]]
