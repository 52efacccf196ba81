"""A lake that plain DuckDB made is adopted, and answers the same as before at every snapshot."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import duckdb
import pytest
from django.db import connection, transaction
from django.test import Client

from accounts.domain import Actor
from audit.models import AuditRecord
from catalog import lake as lakes
from catalog import services as catalogs
from catalog import storage
from catalog.adoption.prefixes import PrefixRefused
from catalog.adoption.running import run_adoption
from catalog.domain import AdoptionMode, AdoptionSource, JobKind
from catalog.models import Adoption, Catalog
from catalog.services.adoption_steps import adopt
from catalog.writable import CatalogReadOnly
from execution import planning, slices
from execution.models import Query
from execution.services.running import engine_spec
from tests.cast import Cast
from tests.catalog.foreign import ForeignLake, Lakes, adopted, foreign, requested
from tests.catalog.lakes import count_rows
from tests.execution.governed import ask, laptop_of, on_device, on_server
from tests.execution.lakes import answer
from upend import slices as engine
from workspaces.models import Workspace

__all__ = ["foreign"]
pytestmark = pytest.mark.django_db(transaction=True)

SOURCES = list(AdoptionSource)
EVERY_TYPE = """
CREATE TABLE kinds (b BOOLEAN, i1 TINYINT, i2 SMALLINT, i4 INTEGER, i8 BIGINT, i16 HUGEINT,
 u1 UTINYINT, u2 USMALLINT, u4 UINTEGER, u8 UBIGINT, u16 UHUGEINT, f4 FLOAT, f8 DOUBLE,
 d1 DECIMAL(4,1), d2 DECIMAL(18,3), d3 DECIMAL(38,10), v VARCHAR, bl BLOB, da DATE, ti TIME,
 tz TIMETZ, ts TIMESTAMP, tss TIMESTAMP_S, tsm TIMESTAMP_MS, tsn TIMESTAMP_NS, tstz TIMESTAMPTZ,
 iv INTERVAL, uu UUID, js JSON, st STRUCT(a INTEGER, b VARCHAR), li VARCHAR[],
 ma MAP(VARCHAR, DECIMAL(9,2)))
"""
VALUES = r"""
INSERT INTO kinds VALUES (true, -1, -2, -3, -4, 170141183460469231731687303715884105727, 255, 65535,
 4294967295, 18446744073709551615, 5, 1.1, 'nan', 12.3, 123456.789, 1.5, 'a''b "c" \ {x}' || chr(9),
 '\xAA\x00'::BLOB, '2020-01-01', '12:34:56.789', '12:34:56+02', '2020-01-01 12:00:00.123456',
 '2020-01-01 12:00:00', '2020-01-01 12:00:00.123', '2020-01-01 12:00:00.123456789',
 '2020-01-01 12:00:00+02', INTERVAL '14 months 2 days 3 seconds',
 '6d8f2ae0-9d3b-4a7a-8f2f-111111111111', '{"a": [1, null]}', {'a': 1, 'b': 'it''s, {so}'},
 ['x', NULL, 'NULL', '', 'a, b'], MAP {'k=1': 1.25, 'l': NULL})
"""
BIG = "SELECT range AS id, range % 4 AS part, 'name ' || range AS name FROM range(3000)"
HISTORY = (
    (EVERY_TYPE, VALUES, f"INSERT INTO kinds VALUES ({', '.join(['NULL'] * 32)})"),
    (
        "CREATE TABLE big (id BIGINT, part BIGINT, name VARCHAR)",
        "ALTER TABLE big SET PARTITIONED BY (part)",
        "CREATE SCHEMA more",
        "CREATE TABLE more.gone AS SELECT 1 AS one",
        "CREATE VIEW firsts AS SELECT id, part FROM big WHERE id < 40 -- only those",
    ),
    (f"INSERT INTO big {BIG}",),
    ("DELETE FROM big WHERE id % 7 = 0", "UPDATE big SET name = upper(name) WHERE id < 20"),
    (
        "ALTER TABLE big RENAME COLUMN name TO label",
        "ALTER TABLE big ADD COLUMN note VARCHAR DEFAULT 'none'",
        "DROP TABLE more.gone",
    ),
    ("INSERT INTO big VALUES (9001, 1, 'inlined', 'late')", "DELETE FROM big WHERE id = 1"),
    (
        "CREATE TABLE small (a INTEGER, s STRUCT(x INTEGER))",
        "INSERT INTO small VALUES (1, {'x': 1}), (2, NULL)",
    ),
    ("ALTER TABLE small ALTER COLUMN a SET DATA TYPE BIGINT",),
    ("ALTER TABLE small ADD COLUMN s.y VARCHAR",),
    (
        "CREATE VIEW more.sums(how_many, part) AS SELECT count(*), part FROM big GROUP BY part",
        "CREATE VIEW nested AS SELECT f.id, s.how_many FROM firsts f JOIN more.sums s USING (part)",
    ),
    ("INSERT INTO small VALUES (7, {'x': 2, 'y': 'z'})", "DELETE FROM small WHERE a = 1"),
    (
        "CREATE VIEW seen AS SELECT id FROM big",
        "DROP VIEW nested",
        "ALTER VIEW firsts RENAME TO beginning",
        "ALTER TABLE small RENAME TO tiny",
    ),
    ("CREATE OR REPLACE VIEW seen AS SELECT id, label FROM big WHERE id > 8",),
)


def make_history(lake: ForeignLake) -> None:
    for statements in HISTORY:
        lake.run("BEGIN", *statements, "COMMIT")
        lake.history.append(int(lake.run("SELECT max(snapshot_id) FROM theirs.snapshots()")[0][0]))
    lake.close()


def rows_of(con: duckdb.DuckDBPyConnection, sql: str) -> tuple[list[str], list[str]]:
    columns, rows = answer(con, sql)
    return columns, sorted(map(str, rows))


@contextmanager
def sliced(
    actor: Actor, workspace: Workspace, sql: str, snapshot: int
) -> Iterator[tuple[duckdb.DuckDBPyConnection, str]]:
    """Open the locked engine of a query, planned and sliced; yield it and the text to run."""
    found = planning.plan(actor=actor, workspace=workspace, sql=sql, snapshots={"ours": snapshot})
    record = json.loads(json.dumps(planning.execution_record(found)))
    built = slices.build(
        record, locate=lambda file: storage.hosted().presign(file.key, valid_seconds=600)
    )
    with engine.connect(memory_bytes=2**30, threads=2) as con:
        engine.attach(con, built.slices, found.search_path)
        engine.lock(con, engine.paths(built.slices))
        yield con, found.query.sql


def named(lake: ForeignLake, kind: str) -> list[str]:
    """Return the quoted names of the lake's tables, or of its views, as it is attached."""
    rows = lake.run(
        f"SELECT schema_name, {kind}_name FROM duckdb_{kind}s()"
        " WHERE database_name = 'theirs' AND NOT internal"
    )
    return [f'"{schema}"."{name}"' for schema, name in rows]


def compare(
    lake: ForeignLake, actor: Actor, workspace: Workspace, history: list[int]
) -> tuple[int, int]:
    """Compare every table and every view at every snapshot; return how many of each were."""
    tables = views = 0
    for snapshot in history:
        lake.open(snapshot)
        names = named(lake, "table")
        of_all = f"SELECT 1 FROM {', '.join(f'ours.{name}' for name in names)}"
        with sliced(actor, workspace, of_all, snapshot) as (con, _):
            for name in names:
                expected = rows_of(lake.con, f"SELECT * FROM theirs.{name}")
                assert rows_of(con, f"SELECT * FROM ours.{name}") == expected, (snapshot, name)
                tables += 1
        for name in named(lake, "view"):
            expected = rows_of(lake.con, f"SELECT * FROM theirs.{name}")
            with sliced(actor, workspace, f"SELECT * FROM ours.{name}", snapshot) as (con, sql):
                assert rows_of(con, sql) == expected, (snapshot, name)
            views += 1
        lake.close()
    return tables, views


KINDS = [*((source, False) for source in SOURCES), (AdoptionSource.POSTGRESQL, True)]
"""Keys are text in every store; an encrypted lake in a DuckDB file is asked below."""


@pytest.mark.timeout(600)  # 33 plans, and as many answers of plain DuckDB
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_it_answers_as_plain_duckdb_at_every_snapshot(
    foreign: Lakes,
    workspace: Workspace,
    owner: Actor,
    analyst: Actor,
    kind: tuple[AdoptionSource, bool],
) -> None:
    source, encrypted = kind
    lake = foreign.make(source, encrypted=encrypted)
    make_history(lake)
    adoption = adopted(owner, lake)
    assert adoption.report is not None
    assert adoption.report["snapshots"] == lake.history[-1] + 1
    assert (adoption.report["tables"], adoption.report["views"]) == (3, 3)
    assert adoption.report["encrypted"] is encrypted
    assert adoption.prefix == lake.prefix
    assert compare(lake, analyst, workspace, lake.history) == (35, 20)


ASKED = (
    "SELECT part, count(*), min(label), sum(id) FROM big GROUP BY part ORDER BY part",
    "SELECT * FROM seen WHERE id < 30 ORDER BY id",
    "SELECT b.id, s.how_many FROM beginning b JOIN more.sums s USING (part) ORDER BY b.id",
    "SELECT a, s FROM tiny ORDER BY a",
)


def test_it_answers_from_encrypted_files_whose_keys_only_slices_carry(
    foreign: Lakes,
    workspace: Workspace,
    owner: Actor,
    cast: Cast,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    laptop = laptop_of(cast, "analyst")
    lake = foreign.make(AdoptionSource.DUCKDB, encrypted=True)
    make_history(lake)
    lake.open()
    lake.run("CREATE TABLE other AS SELECT range AS n FROM range(1000)")
    expected = {sql: [[str(v) for v in row] for row in lake.run(_as_text(sql))] for sql in ASKED}
    file_keys = {key for (key,) in lake.run(FILE_KEYS)}
    assert None not in file_keys
    lake.close()
    adoption = adopted(owner, lake)
    for sql in ASKED:
        assert _texts(on_server(laptop.actor, workspace, sql, "ours")) == expected[sql]
        assert _texts(on_device(laptop, workspace, sql, "ours")) == expected[sql]
    one_table = "SELECT sum(n) FROM other"
    query = ask(laptop.actor, workspace, one_table, on="server", default_catalog="ours")
    carried = json.dumps(engine_spec(query).slices)
    assert sum(key in carried for key in file_keys) == 1 < len(file_keys)
    stored = [storage.hosted().read(key) for key in storage.hosted().keys(lake.prefix)]
    assert stored
    assert {content[-4:] for content in stored} == {b"PARE"}
    told = caplog.text + repr(engine_spec(query)) + str(adoption.report)
    for model in (AuditRecord, Query, Adoption, Catalog):
        told += str(list(model.objects.values()))
    assert [key for key in file_keys if key in told] == []


FILE_KEYS = (
    "SELECT encryption_key FROM __ducklake_metadata_theirs.ducklake_data_file UNION"
    " SELECT encryption_key FROM __ducklake_metadata_theirs.ducklake_delete_file"
)


def _as_text(sql: str) -> str:
    return f"SELECT COLUMNS(*)::VARCHAR FROM ({sql})"


def _texts(rows: list[list[Any]]) -> list[list[str]]:
    return [[str(value) for value in row] for row in rows]


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
    assert storage.hosted().keys("staging/adoptions/") == []
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
