"""A slice shows exactly what the live lake shows, and nothing that lies beside it."""

from __future__ import annotations

import importlib.resources
import json
from pathlib import Path

import duckdb
import jsonschema
import pytest

from upend import slices

from .frozen import freeze, live_lake

VALUES = {
    "BOOLEAN": "true",
    "TINYINT": "(-128)",
    "SMALLINT": "(-32768)",
    "INTEGER": "(-2147483648)",
    "BIGINT": "(-9223372036854775808)",
    "HUGEINT": "(-170141183460469231731687303715884105728)",
    "UTINYINT": "255",
    "USMALLINT": "65535",
    "UINTEGER": "4294967295",
    "UBIGINT": "18446744073709551615",
    "UHUGEINT": "340282366920938463463374607431768211455",
    "FLOAT": "0.1",
    "DOUBLE": "'-infinity'",
    "DECIMAL(4,1)": "-999.9",
    "DECIMAL(12,2)": "404966603.45",
    "DECIMAL(38,10)": "1234567890123456789012345678.0123456789",
    "VARCHAR": "'it''s \"{NULL}\", [x] \\ ☃'",
    "BLOB": "'\\x00\\xFF\"''ab'::BLOB",
    "UUID": "'00112233-4455-6677-8899-aabbccddeeff'",
    "DATE": "'0044-03-15 (BC)'",
    "TIME": "'23:59:59.999999'",
    "TIMETZ": "'12:00:00+02'",
    "TIMESTAMP": "'1999-12-31 23:59:59.123456'",
    "TIMESTAMP_S": "'1999-12-31 23:59:59'",
    "TIMESTAMP_MS": "'1999-12-31 23:59:59.123'",
    "TIMESTAMP_NS": "'1999-12-31 23:59:59.123456789'",
    "TIMESTAMPTZ": "'1999-12-31 23:59:59.5+05:30'",
    "INTERVAL": "INTERVAL '1 year 2 months -3 days 04:05:06.5'",
    "JSON": '\'{"a": [1, null, "x"]}\'',
    "VARCHAR[]": "['it''s', '\"q\"', 'NULL', NULL, '{', '', 'a, b', 'x\\y', ' lead']",
    "INTEGER[][]": "[[1, NULL], [], NULL]",
    "BLOB[]": "['\\x00\\xAA'::BLOB, NULL]",
    'STRUCT(a VARCHAR, "b c" INTEGER)': "{'a': 'it''s \"x\"', 'b c': NULL}",
    "STRUCT(a STRUCT(b DECIMAL(9,3)[], d DATE))": "{'a': {'b': [1.5, NULL], 'd': '2020-02-29'}}",
    "MAP(VARCHAR, DOUBLE)": "MAP {'k,1': 'nan'::DOUBLE, 'NULL': NULL}",
}


IN_PARQUET = VALUES | {
    # Parquet has no 128-bit integers and no negative intervals: DuckDB writes a double, or fails.
    "HUGEINT": "(-18446744073709551616)",
    "UHUGEINT": "18446744073709551616",
    "INTERVAL": "INTERVAL '1 year 2 months 3 days 04:05:06.5'",
}


def attached(one: slices.Slice, *, lock: bool = True) -> duckdb.DuckDBPyConnection:
    con = slices.connect(memory_bytes=2**30, threads=2)
    slices.attach(con, [one], [("lake", "main")])
    if lock:
        slices.lock(con, slices.paths([one]))
    return con


def rows(con: duckdb.DuckDBPyConnection, sql: str) -> tuple[list[str], list[tuple[str, ...]]]:
    found = con.execute(sql)
    types = [f"{c[0]} {c[1]}" for c in found.description or []]
    return types, con.execute(f"SELECT COLUMNS(*)::VARCHAR FROM ({sql})").fetchall()


Pair = tuple[duckdb.DuckDBPyConnection, duckdb.DuckDBPyConnection]


@pytest.fixture(scope="module")
def every_type(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """The live lake and its slice, one table per type, inlined and as Parquet."""
    con = live_lake(tmp_path_factory.mktemp("every"))
    names = []
    for limit, prefix, values in ((10, "inlined", VALUES), (0, "parquet", IN_PARQUET)):
        con.execute(f"CALL lake.set_option('data_inlining_row_limit', {limit})")
        for kind, value in values.items():
            names.append(f"{prefix} {kind}".replace('"', ""))
            table = f'lake.main."{names[-1]}"'
            con.execute(f"CREATE TABLE {table} (id INTEGER, v {kind})")
            con.execute(f"INSERT INTO {table} VALUES (1, {value}), (2, NULL)")
    one = freeze(con, *names)
    assert len(one["files"]) == len(IN_PARQUET)
    return con, attached(one)


@pytest.mark.parametrize("form", ["inlined", "parquet"])
@pytest.mark.parametrize("kind", VALUES)
def test_it_shows_a_value_of_every_type_as_the_live_lake_does(
    kind: str, form: str, every_type: Pair
) -> None:
    """⚑ Inlined rows need the real types: DECIMAL from text is reinterpreted without an error."""
    live, frozen = every_type
    table = f'lake.main."{form} {kind}"'.replace(f" {kind}", f" {kind}".replace('"', ""))
    sql = f"SELECT id, v, typeof(v) AS t FROM {table} ORDER BY id"
    assert rows(frozen, sql) == rows(live, sql)
    assert rows(frozen, sql)[1][0][1] is not None


def test_it_follows_deletes_updates_renames_and_added_columns(tmp_path: Path) -> None:
    con = live_lake(tmp_path)
    con.execute("CREATE TABLE lake.main.t (id INTEGER, price DECIMAL(12,2), name VARCHAR)")
    con.execute("INSERT INTO lake.main.t SELECT i, i / 7, 'n' || i FROM range(5000) r(i)")
    con.execute("INSERT INTO lake.main.t VALUES (9001, 1.25, 'inlined')")
    con.execute("DELETE FROM lake.main.t WHERE id % 3 = 0")
    con.execute("DELETE FROM lake.main.t WHERE id = 9001")
    con.execute("ALTER TABLE lake.main.t RENAME name TO label")
    con.execute("ALTER TABLE lake.main.t ADD COLUMN extra DOUBLE DEFAULT 4.5")
    con.execute("UPDATE lake.main.t SET price = price + 1, extra = NULL WHERE id < 50")
    con.execute("INSERT INTO lake.main.t VALUES (9002, 2.5, 'late', 7)")

    frozen = attached(freeze(con, "t"))

    sql = "SELECT * FROM lake.main.t ORDER BY id"
    assert rows(frozen, sql) == rows(con, sql)
    total = "SELECT count(*), sum(price), sum(extra), min(label), max(label) FROM t"
    assert rows(frozen, total) == rows(con, total.replace("FROM t", "FROM lake.main.t"))


@pytest.fixture
def people(tmp_path: Path) -> slices.Slice:
    con = live_lake(tmp_path)
    con.execute("CREATE TABLE lake.main.people (id INTEGER, email VARCHAR, region VARCHAR)")
    con.execute("CALL lake.set_option('data_inlining_row_limit', 0)")
    con.execute(
        "INSERT INTO lake.main.people "
        "SELECT i, 'HIDDEN' || i || '@x', CASE WHEN i % 2 = 0 THEN 'EU' ELSE 'US' END "
        "FROM range(1000) r(i)"
    )
    return freeze(con, "people")


def test_it_keeps_masked_values_hidden(people: slices.Slice) -> None:
    people["views"][0]["columns"][1][1] = "'***'"
    con = attached(people)
    for sql in (
        "SELECT DISTINCT email FROM people",
        "SELECT DISTINCT people.email FROM people",
        "SELECT DISTINCT p.email FROM (SELECT people AS p FROM people)",
    ):
        assert con.execute(sql).fetchall() == [("***",)]
    assert con.execute("SELECT count(*) FROM people WHERE email LIKE 'HIDDEN%'").fetchall() == [
        (0,)
    ]


def test_it_prints_no_value_that_a_row_filter_hides(people: slices.Slice) -> None:
    """⚑ The fence: without it the engine may evaluate the cast before the filter."""
    people["views"][0]["row_filter"] = "regexp_matches(region, '^(EU|XX)$')"
    con = attached(people)
    assert con.execute("SELECT count(*) FROM people").fetchall() == [(500,)]
    probe = (
        "SELECT count(*) FROM people WHERE (CASE WHEN region <> 'EU' THEN email "
        "ELSE '00000000-0000-0000-0000-000000000000' END)::UUID IS NOT NULL"
    )
    assert con.execute(probe).fetchall() == [(500,)]


def test_it_shows_no_virtual_columns(people: slices.Slice) -> None:
    with pytest.raises(duckdb.BinderException):
        attached(people).execute("SELECT filename, rowid FROM lake.main.people")


def test_it_opens_no_other_file(people: slices.Slice, tmp_path: Path) -> None:
    """⚑ `allowed_paths` is exact: a file beside an allowed one stays shut."""
    other = Path(people["files"][0]["path"]).with_name("other.parquet")
    duckdb.sql(f"COPY (SELECT 1) TO '{other}' (FORMAT parquet)")
    con = attached(people)
    for sql in (
        f"SELECT * FROM read_parquet('{other}')",
        "SELECT * FROM read_text('/etc/passwd')",
        f"COPY (SELECT 1) TO '{tmp_path}/out.csv'",
        f"ATTACH '{tmp_path}/x.duckdb' AS x",
        "SET enable_external_access=true",
        "SET allowed_paths=['/etc/passwd']",
        "LOAD postgres_scanner",
        "INSTALL postgres_scanner",
    ):
        with pytest.raises(duckdb.Error):
            con.execute(sql)


def test_it_leaves_nothing_registered_and_no_python_variable_in_reach(
    people: slices.Slice,
) -> None:
    secret_table = duckdb.sql("SELECT 42").arrow()  # what a replacement scan would find
    con = attached(people, lock=False)
    assert con.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall() == [
        ("people",)
    ]
    with pytest.raises(duckdb.CatalogException):
        con.execute("SELECT * FROM secret_table")
    assert secret_table is not None


def test_it_detaches_and_attaches_again(people: slices.Slice) -> None:
    con = slices.connect(memory_bytes=2**30, threads=1)
    for _ in range(3):
        added = slices.attach(con, [people], [("lake", "main")])
        assert con.execute("SELECT count(*) FROM people").fetchall() == [(1000,)]
        slices.detach(con, added)
    left = con.execute("SELECT count(*) FROM duckdb_databases() WHERE NOT internal").fetchall()
    assert left == [(1,)]


@pytest.mark.parametrize("name", ["memory", "lake", 'my "lake"; DROP', "Ö lake.x", "main2"])
def test_it_bears_any_name(people: slices.Slice, name: str) -> None:
    people["catalog"] = name
    people["views"][0] |= {"schema": 'a"b', "name": "sales\"; ATTACH '/x' AS y; --"}
    con = slices.connect(memory_bytes=2**30, threads=1)
    slices.attach(con, [people], [(name, 'a"b')])
    table = '"sales""; ATTACH \'/x\' AS y; --"'
    assert con.execute(f"SELECT count(*) FROM {table}").fetchall() == [(1000,)]


@pytest.mark.parametrize(
    "change",
    [
        {"format": "upend.slice/2"},
        {"files": []},
        {"tables": {"ducklake_view": {"columns": ["sql"], "rows": [["SELECT 1"]]}}},
    ],
    ids=["format", "file not listed", "a view"],
)
def test_it_refuses_another_shape(people: slices.Slice, change: slices.Slice) -> None:
    con = slices.connect(memory_bytes=2**30, threads=1)
    with pytest.raises(slices.InvalidSlice):
        slices.attach(con, [people | change])


def test_it_is_of_the_documented_shape(people: slices.Slice) -> None:
    text = importlib.resources.files("upend").joinpath("schemas/manifest.schema.json").read_text()
    schema = json.loads(text)
    jsonschema.Draft202012Validator.check_schema(schema)
    one = schema["$defs"]["slice"] | {"$defs": schema["$defs"]}
    jsonschema.validate(people, one)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(people | {"secret": 1}, one)


def test_it_carries_the_metadata_that_is_documented() -> None:
    text = importlib.resources.files("upend").joinpath("schemas/manifest.schema.json").read_text()
    tables = json.loads(text)["$defs"]["slice"]["properties"]["tables"]["properties"]
    assert set(tables) == slices.METADATA_TABLES
