"""The same rows wherever a query ran: local and server results against the engine itself."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from execution.engine import arrow
from upend import plainly
from upend.cli import formats
from upend.errors import UsageError
from upend.result import Column, Facts, Result, arrow_form, columns_of

EXOTIC = [
    "SELECT NULL AS x",
    "SELECT [NULL] AS x",
    "SELECT '{\"a\": 1}'::JSON AS x",
    "SELECT 170141183460469231731687303715884105727 AS x",
    "SELECT 340282366920938463463374607431768211455::UHUGEINT AS x",
    "SELECT '12:00:00.123456789'::TIME_NS AS x",
    "SELECT [1.5::DECIMAL(4,1), NULL] AS x",
    "SELECT MAP {'a': [1.50::DECIMAL(9,2)]} AS x",
    "SELECT {'a': 1::HUGEINT, 'b c': ['2020-01-01'::TIMESTAMP]} AS x",
    "SELECT [1, 2]::INTEGER[2] AS x",
    "SELECT row(1, 'a') AS x",
    "SELECT ['x'::ENUM('x', 'y')] AS x",
    "SELECT 0.1::FLOAT AS x, 0.1 AS x, 0.1::DOUBLE AS x",
    "SELECT '2020-06-01 12:00:00+02'::TIMESTAMPTZ AS x",
    "SELECT interval '-1 month 3 days 1.5 seconds' AS x",
    "SELECT '99999999999999999999999999999999999999999999'::BIGNUM AS x",
    "SELECT 1 AS x WHERE false",
    "SELECT union_value(num := 5) AS x",
    "SELECT [5::UNION(num INTEGER, str VARCHAR), 'a'] AS x",
    "SELECT uuid_v4 FROM (VALUES ('00112233-4455-6677-8899-aabbccddeeff'::UUID)) v(uuid_v4)",
]
ORDINARY = [
    "SELECT 1::TINYINT, 2::SMALLINT, 3::INTEGER, 4::BIGINT, NULL::BIGINT",
    "SELECT 1::UTINYINT, 2::USMALLINT, 3::UINTEGER, 18446744073709551615::UBIGINT",
    "SELECT 0.1::FLOAT, 0.1::DOUBLE, 'nan'::DOUBLE, '-inf'::FLOAT, true",
    "SELECT 1.50::DECIMAL(4,2), 7::DECIMAL(38,0), -0.000001::DECIMAL(18,6)",
    "SELECT 'ü\"', '', '\\x00\\xFF'::BLOB, DATE '9999-12-31', DATE '0001-01-01'",
    "SELECT TIMESTAMP '2020-02-29 23:59:59.123456', TIMESTAMP '0001-01-01', NULL::TIMESTAMP",
    "SELECT range AS n, 'x' || range FROM range(5000)",
    "SELECT 1 AS x WHERE false",
]
ALL_TYPES = duckdb.sql("FROM test_all_types()").columns
QUERIES = EXOTIC + [f'SELECT "{name}" FROM test_all_types()' for name in ALL_TYPES]


def engine() -> duckdb.DuckDBPyConnection:
    con = duckdb.connect()
    con.execute("SET TimeZone='UTC'")
    return con


def ran_locally(sql: str) -> Result:
    con = engine()
    con.execute("SET arrow_lossless_conversion=true")
    relation = con.sql(sql)
    return Result(arrow_form(relation).to_arrow_table(), columns_of(relation), Facts("q", "local"))


def ran_on_the_server(sql: str) -> Result:
    """Return what arrives: the server engine's own Arrow, in a file, with the types it recorded."""
    found, reader = arrow.ask(engine(), sql)
    columns = [Column(name, kind) for name, kind in found]
    file = pa.BufferOutputStream()
    with pa.ipc.new_file(file, reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)
    table = pa.ipc.open_file(file.getvalue()).read_all()
    return Result(table, columns, Facts("q", "server"))


@pytest.mark.parametrize("sql", QUERIES)
def test_it_gives_the_engines_own_values_wherever_it_ran(sql: str) -> None:
    plain = engine().execute(sql)
    types = [str(item[1]) for item in plain.description or []]
    rows = plain.fetchall()
    for result in (ran_locally(sql), ran_on_the_server(sql)):
        assert repr(result.fetchall()) == repr(rows), result.place
        assert result.types == types
        assert len(result) == len(rows)


def plain_rows(sql: str) -> list[tuple[Any, ...]] | None:
    result = ran_on_the_server(sql)
    return plainly.rows(result.arrow(), result.types)


@pytest.mark.parametrize("sql", ORDINARY)
def test_it_reads_ordinary_values_without_an_engine(sql: str) -> None:
    assert repr(plain_rows(sql)) == repr(engine().execute(sql).fetchall())


@pytest.mark.parametrize(
    "sql",
    ["SELECT 1::HUGEINT", "SELECT [1]", "SELECT DATE '44-03-15 (BC)'", "SELECT 'inf'::TIMESTAMP"],
)
def test_it_leaves_to_the_engine_what_arrow_has_no_such_value_for(sql: str) -> None:
    assert plain_rows(sql) is None


@pytest.mark.parametrize("sql", ["SELECT {'a': 1}::VARIANT AS x", "SELECT ['b'::VARIANT] AS x"])
def test_it_gives_variants_as_text_in_both_places(sql: str) -> None:
    texts = engine().sql(f"SELECT x::VARCHAR FROM ({sql})").fetchall()
    assert ran_locally(sql).fetchall() == ran_on_the_server(sql).fetchall() == texts


@pytest.mark.parametrize("sql", QUERIES)
def test_it_writes_the_same_json_and_csv_wherever_it_ran(sql: str) -> None:
    texts = []
    for result in (ran_locally(sql), ran_on_the_server(sql)):
        as_json, as_csv = io.StringIO(), io.StringIO()
        formats.write_json(result, as_json)
        formats.write_csv(result, as_csv)
        document = json.loads(as_json.getvalue())
        assert document["row_count"] == len(document["rows"]) == len(result)
        texts.append((document["rows"], as_csv.getvalue()))
    assert texts[0] == texts[1]


def test_it_writes_json_without_rounding() -> None:
    sql = """SELECT 9007199254740993 AS a, 0.10::DECIMAL(9,2) AS b, 1::HUGEINT AS c,
        0.1::FLOAT AS d, 'nan'::DOUBLE AS e, DATE '2020-01-31' AS f, MAP {'k': 1.0} AS g,
        {'n': [9007199254740993]} AS h, true AS i, 'ü"' AS j, 7 AS k"""
    stream = io.StringIO()
    formats.write_json(ran_locally(sql), stream)
    assert json.loads(stream.getvalue())["rows"] == [
        [
            "9007199254740993",
            "0.10",
            "1",
            0.1,
            "NaN",
            "2020-01-31",
            [{"key": "k", "value": "1.0"}],
            {"n": ["9007199254740993"]},
            True,
            'ü"',
            7,
        ]
    ]


def test_it_writes_csv_that_tells_null_from_empty() -> None:
    stream = io.StringIO()
    formats.write_csv(ran_locally("SELECT NULL AS a, '' AS \"b,c\", 'x\"\ny' AS d"), stream)
    assert stream.getvalue() == 'a,"b,c",d\n,"","x""\ny"\n'
    assert list(csv.reader(io.StringIO(stream.getvalue())))[1] == ["", "", 'x"\ny']


def test_it_hands_out_rows_one_by_one() -> None:
    result = ran_locally("SELECT range AS n FROM range(3)")
    assert [result.fetchone() for _ in range(4)] == [(0,), (1,), (2,), None]
    assert list(result) == result.fetchall() == [(0,), (1,), (2,)]
    assert result.head(2).fetchall() == [(0,), (1,)]


@pytest.mark.parametrize("make", [ran_locally, ran_on_the_server])
def test_it_gives_arrow_and_data_frames(make: Any, tmp_path: Path) -> None:
    result = make("SELECT 1 AS a, 2.50::DECIMAL(9,2) AS a, 'x' AS b, 5::HUGEINT AS h")
    assert result.columns == ["a", "a", "b", "h"]
    assert [str(t) for t in result.arrow().schema.types][1] == "decimal128(9, 2)"
    distinct = make("SELECT 1 AS a, 'x' AS b, DATE '2020-01-31' AS d")
    assert distinct.df()["b"].tolist() == ["x"]
    assert distinct.pl()["d"].to_list() == [distinct.fetchall()[0][2]]
    formats.write_parquet(distinct, tmp_path / "r.parquet")
    assert pq.read_table(tmp_path / "r.parquet").to_pylist() == distinct.arrow().to_pylist()
    formats.write_arrow(distinct, tmp_path / "r.arrow")
    assert pa.ipc.open_file(tmp_path / "r.arrow").read_all() == distinct.arrow()


def test_it_says_which_type_a_form_cannot_hold(tmp_path: Path) -> None:
    result = ran_locally("SELECT interval '1 month' AS x")
    with pytest.raises(UsageError, match="Parquet cannot hold"):
        formats.write_parquet(result, tmp_path / "r.parquet")
    assert not (tmp_path / "r.parquet").exists()
    with pytest.raises(UsageError, match="polars cannot hold"):
        result.pl()
    with pytest.raises(UsageError, match="pandas cannot hold"):
        ran_locally("SELECT '12:00:00+01'::TIMETZ AS x").df()
    assert ran_locally("SELECT union_value(num := 5) AS x").pl()["x"].to_list() == ["5"]
