"""Parquet files of others become part of a table where they lie, and stay theirs."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.test import Client

from accounts.domain import Actor
from audit.models import AuditRecord
from catalog import services as catalogs
from catalog import storage
from catalog.adoption.prefixes import PrefixRefused
from catalog.domain import JobKind, UploadMode
from catalog.lake import retired
from catalog.maintenance import cleanup, health
from catalog.maintenance.leases import leases_of
from catalog.models import Catalog, Job
from catalog.services import jobs
from catalog.services.registering import CatalogEncrypted, Registration, register_files
from problems import Invalid
from tests.cast import Cast
from tests.catalog.lakes import count_rows
from tests.execution.governed import on_server
from workspaces.models import Workspace

pytestmark = pytest.mark.django_db(transaction=True)

Columns = dict[str, list[Any]]


@pytest.fixture
def catalog(owner: Actor, workspace: Workspace) -> Catalog:
    """Return an empty lake, ready."""
    made = catalogs.create_catalog(actor=owner, workspace=workspace, name="flights")
    jobs.run_jobs(made.id)
    return made


@pytest.fixture
def prefix(workspace: Workspace) -> str:
    """Return where files of the workspace lie that no catalog wrote; it is empty."""
    place = f"adopted/{workspace.id}/exports/"
    storage.hosted().delete_prefix(place)
    return place


def put(prefix: str, name: str, columns: Columns) -> bytes:
    """Put a file where others write; return its bytes."""
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    storage.hosted().put_bytes(prefix + name, out.getvalue())
    return out.getvalue()


def good(first: int = 0) -> Columns:
    return {"id": list(range(first, first + 10)), "name": [f"n{i}" for i in range(10)]}


def registered(owner: Actor, catalog: Catalog, prefix: str, **asked: Any) -> Job:
    """Register and run; return the job as it ended."""
    options = {"schema": "main", "table": "t", "mode": UploadMode.APPEND} | asked
    job = register_files(actor=owner, catalog=catalog, asked=Registration(prefix=prefix, **options))
    jobs.run_jobs(catalog.id)
    job.refresh_from_db()
    return job


def run(owner: Actor, catalog: Catalog, *statements: str) -> None:
    job = catalogs.enqueue_job(
        actor=owner,
        catalog=catalog,
        kind=JobKind.STATEMENTS,
        arguments={"statements": list(statements)},
    )
    jobs.run_jobs(catalog.id)
    job.refresh_from_db()
    assert job.problem is None, job.problem


def test_it_makes_a_table_of_files_without_copying_them(
    catalog: Catalog, prefix: str, workspace: Workspace, owner: Actor, analyst: Actor
) -> None:
    files = [put(prefix, "a.parquet", good()), put(prefix, "2026/b c.parquet", good(10))]
    put(prefix, "notes.txt", good())
    job = registered(owner, catalog, prefix, mode=UploadMode.CREATE)
    assert job.problem is None
    assert job.result is not None
    assert (job.result["files"], job.result["rows"]) == (2, 20)
    assert on_server(analyst, workspace, "SELECT count(*), sum(id), max(name) FROM t") == [
        ["20", "190", "n9"]
    ]
    catalog.refresh_from_db()
    assert catalog.registered_prefixes == [prefix]
    assert storage.hosted().keys(catalog.prefix) == []
    put(prefix, "c.parquet", {"name": ["z"], "ID": pa.array([99], pa.int32())})
    job = registered(owner, catalog, prefix, skip_registered=True)
    assert job.result is not None
    assert (job.result["files"], job.result["rows"]) == (1, 1)
    sql = "SELECT id, name FROM t WHERE id > 18 ORDER BY id"
    assert on_server(analyst, workspace, sql) == [["19", "n9"], ["99", "z"]]
    again = registered(owner, catalog, prefix)
    assert again.problem is not None
    assert again.problem["code"] == "file-registered"
    nothing = registered(owner, catalog, prefix, skip_registered=True)
    assert nothing.result is not None
    assert nothing.result["files"] == 0
    assert storage.hosted().read(f"{prefix}a.parquet") == files[0]
    told = AuditRecord.objects.filter(event="table.loaded").values_list("after__files", flat=True)
    assert sorted(told) == [2, 3, 3, 3]


def test_it_says_of_each_file_why_it_does_not_fit(
    catalog: Catalog, prefix: str, owner: Actor
) -> None:
    run(owner, catalog, "CREATE TABLE lake.main.t (id BIGINT NOT NULL, name VARCHAR)")
    put(prefix, "good.parquet", good())
    put(prefix, "short.parquet", {"id": [1]})
    put(prefix, "wide.parquet", good() | {"more": list(range(10))})
    put(prefix, "wrong.parquet", {"id": [1], "name": [b"\xff"]})
    storage.hosted().put_bytes(f"{prefix}broken.parquet", b"PAR1 no, it is not one")
    problem = registered(owner, catalog, prefix).problem
    assert problem is not None
    assert problem["code"] in {"files-do-not-fit", "bad-file", "statement-failed"}
    storage.hosted().delete(f"{prefix}broken.parquet")
    problem = registered(owner, catalog, prefix).problem
    assert problem is not None
    assert problem["code"] == "files-do-not-fit"
    assert "3 of 4 files do not fit t" in problem["detail"]
    for said in (
        'short.parquet: Column "name" exists in table "t" but was not found in the file',
        'wide.parquet: Column "more" exists in the file but was not found in table "t"',
        'wrong.parquet: Failed to map column "name" from the file',
    ):
        assert said in problem["detail"]
    assert "s3://" not in problem["detail"]
    assert count_rows(catalog, "t") == 0
    fit = ("good.parquet", "short.parquet", "wide.parquet")
    job = registered(owner, catalog, prefix, files=fit, allow_missing=True, ignore_extra=True)
    assert job.problem is None
    assert count_rows(catalog, "t") == 21
    put(prefix, "null.parquet", {"id": pa.array([1, None]), "name": ["a", "b"]})
    put(prefix, "noid.parquet", {"name": ["a"]})
    bad = ("null.parquet", "noid.parquet")
    problem = registered(owner, catalog, prefix, files=bad, allow_missing=True).problem
    assert problem is not None
    assert "null.parquet: it has NULL in id" in problem["detail"]
    assert "noid.parquet: it has no column id" in problem["detail"]


def test_it_never_deletes_what_it_did_not_write(
    catalog: Catalog, prefix: str, owner: Actor, settings: Any
) -> None:
    """Not when merging replaces it, not when history expires, not with the catalog."""
    settings.MAINTENANCE_SAFE_SECONDS = 0
    named_as_ducklake_does = "ducklake-01a202ca-4b5c-7330-b3a8-6222f2cfdbdc.parquet"
    for number, name in enumerate(("a.parquet", named_as_ducklake_does, "c.parquet")):
        put(prefix, name, good(10 * number))
    assert registered(owner, catalog, prefix, mode=UploadMode.CREATE).problem is None
    held = storage.hosted().keys(prefix)
    catalog.refresh_from_db()
    run(
        owner,
        catalog,
        "CALL ducklake_merge_adjacent_files('lake', 't')",
        "DELETE FROM lake.main.t WHERE id < 5",
        "CREATE OR REPLACE TABLE lake.main.t AS SELECT 1 AS id",
        "CALL ducklake_expire_snapshots('lake', older_than => now())",
    )
    assert retired.scheduled_count(catalog) > 0  # what the writer wrote itself
    assert all(not (one.key or "").startswith(prefix) for one in retired.scheduled(catalog, 100))
    cleanup.clean_up(catalog, lambda _: None)
    cleanup.remove_orphans(catalog, lambda _: None)
    assert health.deletable(catalog, leases_of(catalog)) == []
    assert storage.hosted().keys(prefix) == held
    Workspace.objects.update(drop_grace_days=0)
    catalog = Catalog.objects.select_related("workspace__organization", "bucket").get()
    catalogs.drop_catalog(actor=owner, catalog=catalog)
    catalogs.remove_dropped()
    jobs.run_jobs(catalog.id)
    assert storage.hosted().keys(catalog.prefix) == []
    assert storage.hosted().keys(prefix) == held


@pytest.mark.parametrize(
    "place", ["", "catalogs/", "adopted/", "results/", "{own}", "{own}main/", "adopted/{w}/../x/"]
)
def test_it_registers_nothing_of_catalogs_or_other_workspaces(
    catalog: Catalog, owner: Actor, workspace: Workspace, place: str
) -> None:
    wanted = place.format(own=catalog.prefix, w=workspace.id)
    with pytest.raises(PrefixRefused):
        registered(owner, catalog, wanted, mode=UploadMode.CREATE)
    catalog.refresh_from_db()
    assert catalog.registered_prefixes == []


def test_it_registers_from_a_new_prefix_for_who_manages_buckets(
    catalog: Catalog,
    prefix: str,
    cast: Cast,
    signed_in: Callable[[Actor], Client],
) -> None:
    put(prefix, "a.parquet", good())
    put(prefix, "b.parquet", good())
    address = "/api/v1/workspaces/flight-ops/catalogs/flights/registrations"
    asked = {"table": "t", "mode": "create", "prefix": prefix, "files": ["a.parquet"]}
    for name, status in (("analyst", 403), ("steward", 403), ("owner", 202)):
        client = signed_in(cast.actor(name))
        given = client.post(address, asked, content_type="application/json")
        assert given.status_code == status, given.content
    jobs.run_jobs(catalog.id)
    assert Job.objects.get(id=UUID(given.json()["id"])).state == "succeeded"
    more = {"table": "t", "prefix": prefix, "files": ["b.parquet"]}
    given = signed_in(cast.actor("steward")).post(address, more, content_type="application/json")
    assert given.status_code == 202, given.content
    jobs.run_jobs(catalog.id)
    assert count_rows(catalog, "t") == 20


def test_it_refuses_patterns_and_encrypted_catalogs(
    catalog: Catalog, prefix: str, owner: Actor, workspace: Workspace
) -> None:
    for name in ("*.parquet", "../a.parquet", "a[0].parquet", "/etc/passwd", "a?x=1.parquet"):
        with pytest.raises(Invalid):
            registered(owner, catalog, prefix, mode=UploadMode.CREATE, files=(name,))
    with pytest.raises(Invalid, match="no Parquet file"):
        registered(owner, catalog, prefix, mode=UploadMode.CREATE)
    closed = catalogs.create_catalog(
        actor=owner, workspace=workspace, name="closed", is_encrypted=True
    )
    jobs.run_jobs(closed.id)
    with pytest.raises(CatalogEncrypted):
        registered(owner, closed, prefix, mode=UploadMode.CREATE)
