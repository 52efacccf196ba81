"""A plan says what a query reads and costs; the slices made from it answer like the live lake."""

from __future__ import annotations

import json

import duckdb
import pytest

from accounts.domain import Actor
from catalog import storage
from execution import planning, slices
from execution.domain import Place, RequestedPlace
from tests.catalog.lakes import WrittenLake, written_lake
from tests.execution.lakes import answer, built, locked, plan
from upend import slices as engine
from workspaces.models import Workspace

from .test_slice_attach import IN_PARQUET, VALUES

__all__ = ["written_lake"]

FLIGHTS = (
    (
        "CREATE TABLE flights (id INTEGER, month INTEGER, carrier VARCHAR, delay DECIMAL(8,2),"
        " left_at TIMESTAMP)"
    ),
    "ALTER TABLE flights SET PARTITIONED BY (month)",
    "CALL lake.set_option('data_inlining_row_limit', 0)",
    (
        "INSERT INTO flights SELECT i, 1 + i % 12, 'C' || (i % 7), i / 9, "
        "TIMESTAMP '2013-01-01' + INTERVAL 1 HOUR * i FROM range(6000) r(i)"
    ),
)
CHANGES = (
    "CALL lake.set_option('data_inlining_row_limit', 100)",
    "DELETE FROM flights WHERE id % 10 = 3",
    "INSERT INTO flights VALUES (9001, 5, 'late', 1.25, '2014-01-01'), (9002, 6, NULL, NULL, NULL)",
    "UPDATE flights SET delay = delay + 1 WHERE month = 2 AND id < 300",
    "ALTER TABLE flights RENAME carrier TO airline",
    "ALTER TABLE flights ADD COLUMN extra DOUBLE DEFAULT 4.5",
    "INSERT INTO flights VALUES (9003, 7, 'new', 2.5, '2014-02-01', 7)",
    "DELETE FROM flights WHERE id = 9001 OR id = 17",
)
QUERIES = [
    "SELECT * FROM flights ORDER BY id",
    "SELECT count(*) FROM flights",
    "SELECT count(*), sum(delay), max(left_at) FROM flights WHERE month = 5",
    "SELECT (SELECT count(*) FROM flights), (SELECT max(id) FROM flights WHERE month = 2)",
    "SELECT month, avg(delay) FROM flights WHERE month IN (2, 9) GROUP BY ALL ORDER BY month",
    "SELECT id FROM flights WHERE left_at >= '2013-03-01' AND left_at < '2013-03-02' ORDER BY id",
    "SELECT a.id FROM flights a JOIN flights b ON a.id = b.id + 1 WHERE a.month = 3 ORDER BY 1",
    "SELECT id FROM lake.main.flights ORDER BY delay DESC NULLS LAST, id LIMIT 7",
    "WITH f AS (FROM flights WHERE id < 50) SELECT count(*), min(month) FROM f",
    (
        "SELECT id, row_number() OVER (PARTITION BY month ORDER BY id) FROM flights WHERE id < 99"
        " ORDER BY id"
    ),
    "SELECT 1 AS one",
    "SELECT count(*) FROM flights WHERE false",
    "SELECT count(*) FROM flights WHERE id = 9003 OR id IS NULL",
]


UNREADABLE_INLINED = {"STRUCT(a STRUCT(b DECIMAL(9,3)[], d DATE))"}
"""⚑ What DuckLake itself writes to PostgreSQL so that it cannot read it back: nested dates."""


@pytest.fixture
def flights(written_lake: WrittenLake) -> WrittenLake:
    written_lake.run(*FLIGHTS)
    return written_lake


@pytest.fixture
def changed(flights: WrittenLake) -> WrittenLake:
    flights.run(*CHANGES)
    return flights


def test_it_answers_like_the_live_lake(
    changed: WrittenLake, workspace: Workspace, analyst: Actor
) -> None:
    for sql in QUERIES:
        found = plan(analyst, workspace, sql)
        with locked(found, changed) as con:
            assert answer(con, sql) == answer(changed.con, sql), sql
            assert [f"{n} {t}" for n, t in found.columns] == answer(con, sql)[0]


def test_it_answers_at_an_older_snapshot(
    flights: WrittenLake, workspace: Workspace, analyst: Actor
) -> None:
    before = flights.snapshot.snapshot_id
    sql = "SELECT * FROM flights ORDER BY id"
    expected = answer(flights.con, sql)
    flights.run(*CHANGES)
    found = plan(analyst, workspace, sql, snapshots={"lake": before})
    assert found.pins[0].snapshot_id == before
    with locked(found, flights) as con:
        assert answer(con, sql) == expected


def test_it_stays_at_the_snapshot_of_the_plan(
    flights: WrittenLake, workspace: Workspace, analyst: Actor
) -> None:
    sql = "SELECT count(*), sum(id) FROM flights"
    found = plan(analyst, workspace, sql)
    expected = answer(flights.con, sql)
    flights.run(*CHANGES)
    with locked(found, flights) as con:
        assert answer(con, sql) == expected


@pytest.mark.parametrize("form", ["inlined", "parquet"])
def test_it_shows_every_type_as_the_live_lake_does(
    form: str, written_lake: WrittenLake, workspace: Workspace, analyst: Actor
) -> None:
    """⚑ Whatever PostgreSQL makes of inlined values, the slice gives the engine's own types."""
    written_lake.run(
        f"CALL lake.set_option('data_inlining_row_limit', {10 if form == 'inlined' else 0})"
    )
    values = dict(VALUES if form == "inlined" else IN_PARQUET)
    for kind in UNREADABLE_INLINED if form == "inlined" else ():
        del values[kind]
    for number, (kind, value) in enumerate(values.items()):
        written_lake.run(
            f"CREATE TABLE k{number} (id INTEGER, v {kind})",
            f"INSERT INTO k{number} VALUES (1, {value}), (2, NULL)",
        )
    for number, kind in enumerate(values):
        sql = f"SELECT *, typeof(v) AS t FROM k{number} ORDER BY id"
        found = plan(analyst, workspace, sql)
        assert bool(built(found, written_lake).files) is (form == "parquet"), kind
        with locked(found, written_lake) as con:
            assert answer(con, sql) == answer(written_lake.con, sql), kind


def test_it_hands_out_only_the_files_that_survive(
    flights: WrittenLake, workspace: Workspace, analyst: Actor
) -> None:
    found = plan(analyst, workspace, "SELECT delay FROM flights WHERE month = 5")
    (table,) = found.estimate.tables
    assert (table.files, table.total_files) == (1, 12)
    assert table.columns == ("month", "delay")
    assert table.filters == ("month = 5",)
    assert 0 < table.scan_bytes < table.total_bytes / 6
    assert len(built(found, flights).files) == 1
    whole = plan(analyst, workspace, "SELECT count(*) FROM flights")
    assert (whole.estimate.files, whole.estimate.scan_bytes) == (12, 0)


def test_it_prunes_only_by_what_stays_true_while_time_passes(
    flights: WrittenLake, workspace: Workspace, analyst: Actor
) -> None:
    since = plan(analyst, workspace, "FROM flights WHERE left_at > current_date - 365")
    assert since.estimate.files == 0
    until = plan(analyst, workspace, "FROM flights WHERE left_at > today() AND month = 5")
    assert until.estimate.files == 0
    before = plan(analyst, workspace, "FROM flights WHERE left_at < current_date - 9000")
    assert before.estimate.files == 12
    equal = plan(analyst, workspace, "FROM flights WHERE month = year(current_date)")
    assert equal.estimate.files == 12


def test_it_carries_no_names_keys_or_statistics_that_are_not_needed(
    changed: WrittenLake, workspace: Workspace, analyst: Actor
) -> None:
    changed.run("CREATE TABLE secret (ssn VARCHAR)", "INSERT INTO secret VALUES ('HIDDEN77')")
    (one,) = built(plan(analyst, workspace, "SELECT id FROM flights"), changed).slices
    text = json.dumps(one)
    assert "HIDDEN77" not in text
    assert "secret" not in text
    assert "ssn" not in text
    table = one["tables"]["ducklake_table"]
    assert [row[table["columns"].index("table_name")] for row in table["rows"]] == ["t1"]
    statistics = one["tables"]["ducklake_file_column_stats"]
    column = statistics["columns"].index("column_id")
    assert {row[column] for row in statistics["rows"]} == {1}
    keys = one["tables"]["ducklake_data_file"]
    assert {row[keys["columns"].index("encryption_key")] for row in keys["rows"]} == {None}
    assert len(one["tables"]["ducklake_snapshot"]["rows"]) == 1


def test_it_makes_the_same_slices_however_often_it_is_asked(
    changed: WrittenLake, workspace: Workspace, analyst: Actor
) -> None:
    found = plan(analyst, workspace, "SELECT * FROM flights WHERE month < 4")
    assert built(found, changed) == built(found, changed)
    again = plan(analyst, workspace, "SELECT * FROM flights WHERE month < 4")
    assert planning.execution_record(again) == planning.execution_record(found)


def test_it_runs_for_people_on_the_server_without_a_device(
    flights: WrittenLake, workspace: Workspace, analyst: Actor
) -> None:
    found = plan(analyst, workspace, "SELECT count(*) FROM flights")
    assert found.placement.place is Place.SERVER
    assert found.placement.reasons[0].code == "no-approved-device"
    refused = plan(analyst, workspace, "FROM flights", requested=RequestedPlace.LOCAL)
    assert refused.placement.place is None
    assert refused.as_dict()["refusal"]["code"] == "no-approved-device"


def test_it_reads_sealed_urls_of_the_bucket(
    changed: WrittenLake, workspace: Workspace, analyst: Actor
) -> None:
    """⚑ Presigned URLs in the slice, delete files among them; the engine may open nothing else."""
    sql = "SELECT month, count(*), sum(delay), max(airline) FROM flights GROUP BY ALL ORDER BY 1"
    found = plan(analyst, workspace, sql)
    record = planning.execution_record(found)

    def sealed(file: slices.SliceFile) -> str:
        path = changed.directory / file.key.removeprefix(changed.catalog.prefix)
        storage.hosted().put_bytes(file.key, path.read_bytes())
        return storage.hosted().presign(file.key, valid_seconds=60)

    made = slices.build(record, locate=sealed)
    assert {file.key.rpartition(".")[2] for file in made.files} == {"parquet"}
    con = engine.connect(memory_bytes=2**30, threads=2)
    engine.attach(con, made.slices, found.search_path)
    engine.lock(con, engine.paths(made.slices))
    assert answer(con, sql) == answer(changed.con, sql)
    unlisted = made.slices[0]["files"][0]["path"].partition("?")[0]
    with pytest.raises(duckdb.Error):
        con.execute(f"FROM read_parquet('{unlisted}')")
    con.close()
