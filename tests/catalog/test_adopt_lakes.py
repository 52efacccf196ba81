"""A lake that plain DuckDB made is adopted: managed, followed, refused, dropped."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.test import Client

from accounts.domain import Actor
from catalog import lake as lakes
from catalog import services as catalogs
from catalog import storage
from catalog.adoption.prefixes import PrefixRefused
from catalog.adoption.running import run_adoption
from catalog.domain import AdoptionMode, AdoptionSource, JobKind
from catalog.models import Catalog
from catalog.services.adoption_steps import adopt
from catalog.writable import CatalogReadOnly
from tests.catalog.foreign import Lakes, adopted, foreign, requested
from tests.catalog.lakes import count_rows
from tests.catalog.test_adopted_answers import EVERY_TYPE, VALUES, sliced
from workspaces.models import Workspace

__all__ = ["foreign"]
pytestmark = pytest.mark.django_db(transaction=True)


def test_it_follows_a_lake_that_others_write(
    foreign: Lakes, workspace: Workspace, owner: Actor, analyst: Actor
) -> None:
    lake = foreign.make(AdoptionSource.POSTGRESQL)
    lake.run("CREATE TABLE t AS SELECT range AS i FROM range(10)")
    adoption = adopted(owner, lake, AdoptionMode.READ_ONLY)
    catalog = adoption.catalog
    assert catalog is not None
    with pytest.raises(CatalogReadOnly):
        catalogs.enqueue_job(actor=owner, catalog=catalog, kind=JobKind.STATEMENTS)
    assert planned(analyst, workspace) == 10
    lake.run("INSERT INTO t SELECT range AS i FROM range(90)")
    assert planned(analyst, workspace) == 10
    before = catalog.metadata_schema
    catalogs.sync_catalog(actor=owner, catalog=catalog)
    run_adoption(adoption.id)
    catalog.refresh_from_db()
    assert planned(analyst, workspace) == 100
    assert lakes.ready([before, catalog.metadata_schema]) == {before, catalog.metadata_schema}
    catalogs.sync_catalog(actor=owner, catalog=catalog)
    run_adoption(adoption.id)
    again = catalog.metadata_schema
    catalog.refresh_from_db()
    assert catalog.metadata_schema == again  # nothing was written since


def planned(actor: Actor, workspace: Workspace) -> int:
    """Return how many rows a query of the table would find."""
    with sliced(actor, workspace, "SELECT 1 FROM ours.t", newest(workspace)) as (con, _):
        return int(con.execute("SELECT count(*) FROM ours.t").fetchall()[0][0])


def newest(workspace: Workspace) -> int:
    catalog = Catalog.objects.select_related("bucket").get(workspace=workspace, name="ours")
    return lakes.latest_snapshot(catalog).snapshot_id


def test_it_reads_what_was_written_between_the_report_and_the_yes(
    foreign: Lakes, owner: Actor
) -> None:
    lake = foreign.make(AdoptionSource.POSTGRESQL)
    lake.run("CREATE TABLE t AS SELECT range AS i FROM range(10)")
    adoption = requested(owner, lake)
    lake.run("INSERT INTO t SELECT range AS i FROM range(5)")
    catalogs.confirm_adoption(actor=owner, adoption=adoption)
    run_adoption(adoption.id)
    catalog = Catalog.objects.get(name="ours")
    assert count_rows(catalog, "t") == 15
    adoption.refresh_from_db()
    assert adoption.sealed_dsn == b""


def test_it_writes_what_it_manages_and_leaves_the_files_when_it_is_dropped(
    foreign: Lakes, workspace: Workspace, owner: Actor
) -> None:
    lake = foreign.make(AdoptionSource.DUCKDB)
    lake.run("CREATE TABLE t AS SELECT range AS i FROM range(1000)")
    lake.close()
    catalog = adopted(owner, lake).catalog
    assert catalog is not None
    statements = ["INSERT INTO lake.main.t SELECT range FROM range(2000)"]
    job = catalogs.enqueue_job(
        actor=owner,
        catalog=catalog,
        kind=JobKind.STATEMENTS,
        arguments={"statements": statements},
    )
    catalogs.run_jobs(catalog.id)
    job.refresh_from_db()
    assert job.problem is None
    assert count_rows(catalog, "t") == 3000
    held = storage.hosted().keys(lake.prefix)
    Workspace.objects.update(drop_grace_days=0)
    catalog = Catalog.objects.select_related("workspace__organization", "bucket").get()
    catalogs.drop_catalog(actor=owner, catalog=catalog)
    catalogs.remove_dropped()
    catalogs.run_jobs(catalog.id)
    assert storage.hosted().keys(lake.prefix) == held
    assert lakes.ready([catalog.metadata_schema]) == frozenset()


def test_it_gives_a_place_to_one_of_two_that_adopt_it_at_once(foreign: Lakes, owner: Actor) -> None:
    """The second waits for the first, whose catalog nobody sees before it commits."""
    lake = foreign.make(AdoptionSource.DUCKDB)
    lake.run("CREATE TABLE t AS SELECT range AS i FROM range(10)")
    lake.close()
    first, second = (requested(owner, lake, name=name) for name in ("ours", "theirs"))
    for one in (first, second):
        catalogs.confirm_adoption(actor=owner, adoption=one)
    first.refresh_from_db()
    other = threading.Thread(target=_run_elsewhere, args=(second.id,))
    with transaction.atomic():
        adopt(adoption=first)
        other.start()
        _wait_for_lock(other)
    other.join()
    second.refresh_from_db()
    assert (second.state, (second.problem or {})["code"]) == ("checked", "prefix-refused")
    assert [one.name for one in Catalog.objects.all()] == ["ours"]


def _run_elsewhere(adoption_id: UUID) -> None:
    run_adoption(adoption_id)
    connection.close()


def _wait_for_lock(other: threading.Thread) -> None:
    """Return once somebody waits for an advisory lock. Fails where the other did not need to."""
    while other.is_alive():
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
            if cursor.fetchone():
                return
        time.sleep(0.05)
    pytest.fail("the other did not wait")


def test_it_makes_the_tables_that_ducklake_makes(
    foreign: Lakes, workspace: Workspace, owner: Actor
) -> None:
    theirs = foreign.make(AdoptionSource.DUCKDB)
    theirs.run(EVERY_TYPE, VALUES)
    theirs.close()
    ours = foreign.make(AdoptionSource.POSTGRESQL)
    ours.run(EVERY_TYPE, VALUES)
    catalog = adopted(owner, theirs).catalog
    assert catalog is not None
    assert columns_in(catalog.metadata_schema) == columns_in(ours.schema)


def columns_in(schema: str) -> list[tuple[str, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod)"
            " FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
            " WHERE c.relnamespace = %s::regnamespace AND c.relkind = 'r' AND a.attnum > 0"
            " ORDER BY 1, a.attnum",
            [schema],
        )
        return list(cursor.fetchall())


def test_it_takes_a_file_over_the_api_and_throws_a_report_away(
    foreign: Lakes, owner: Actor, analyst: Actor, signed_in: Callable[[Actor], Client]
) -> None:
    lake = foreign.make(AdoptionSource.SQLITE)
    lake.run("CREATE TABLE t AS SELECT range AS i FROM range(10)")
    lake.close()
    assert lake.file is not None
    address = "/api/v1/workspaces/flight-ops/adoptions"
    asked = {"name": "ours", "mode": "managed", "metadata_store": "sqlite"}
    for actor, status in ((analyst, 403), (owner, 202)):
        with lake.file.open("rb") as file:
            given = signed_in(actor).post(address, asked | {"file": file})
        assert given.status_code == status, given.content
    client = signed_in(owner)
    one = f"{address}/{given.json()['id']}"
    run_adoption(UUID(given.json()["id"]))
    shown = client.get(one).json()
    assert (shown["state"], shown["report"]["tables"]) == ("checked", 1)
    assert signed_in(analyst).get(one).status_code == 404
    cancelled = client.post(f"{one}/cancel")
    assert (cancelled.status_code, cancelled.json()["state"]) == (202, "cancelled")
    again = client.post(f"{one}/confirm").json()
    assert again["code"] == "adoption-moved-on"
    assert storage.hosted().keys(f"staging/adoptions/{given.json()['id']}") == []
    assert not Catalog.objects.exists()


@pytest.mark.parametrize("prefix", ["", "catalogs/", "adopted/", "adopted/../x/", "other/"])
def test_it_adopts_nothing_outside_the_workspaces_own_place(
    foreign: Lakes, owner: Actor, prefix: str
) -> None:
    lake = foreign.make(AdoptionSource.DUCKDB)
    lake.close()
    if prefix:
        with pytest.raises(PrefixRefused):
            catalogs.request_adoption(
                actor=owner,
                bucket=lake.bucket,
                name="ours",
                mode=AdoptionMode.READ_ONLY,
                source=lake.source(),
                prefix=prefix,
            )
        return
    lake.open()
    lake.run("UPDATE __ducklake_metadata_theirs.ducklake_metadata SET value = '/elsewhere/'"
             " WHERE key = 'data_path'")  # fmt: skip
    lake.close()
    problem = requested(owner, lake).problem
    assert problem is not None
    assert problem["code"] == "prefix-needed"
