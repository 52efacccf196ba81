"""A lake that plain DuckDB made answers the same after it was adopted, at every snapshot."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import duckdb
import pytest

from accounts.domain import Actor
from audit.models import AuditRecord
from catalog import storage
from catalog.domain import AdoptionSource
from catalog.models import Adoption, Catalog
from execution import planning, slices
from execution.models import Query
from execution.services.running import engine_spec
from tests.cast import Cast
from tests.catalog.foreign import ForeignLake, Lakes, adopted, foreign
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
