"""The reader finds in a lake's metadata exactly what DuckDB finds."""

from __future__ import annotations

from typing import Any

import pytest

from catalog import lake
from tests.catalog.lakes import WrittenLake

TYPES = """
  i INTEGER, d DECIMAL(12,2), s VARCHAR, st STRUCT(a INTEGER, b VARCHAR[]), l INTEGER[],
  m MAP(VARCHAR, INTEGER), b BLOB, da DATE, ts TIMESTAMP, tz TIMESTAMPTZ, u UUID, f DOUBLE,
  bo BOOLEAN, hg HUGEINT, tm TIME, iv INTERVAL, ti TINYINT, ub UBIGINT, fl FLOAT
"""
ROW = """
  {i}, {i} * 1.1, 's' || {i}, {{'a': {i}, 'b': ['x', NULL, 'NULL', 'q''uo, te']}}, [{i}, NULL],
  MAP {{'a b': {i}}}, '\\x00\\xff{i}'::BLOB, DATE '2020-01-01' + {i}::INTEGER,
  TIMESTAMP '2020-01-01 00:00:00.123456', TIMESTAMPTZ '2020-01-01 00:00:00+02',
  'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', {i} / 3.0, {i} % 2 = 0,
  {i}::HUGEINT * 10000000000000000000000, TIME '12:13:14.5',
  INTERVAL '14 months -3 days 04:05:06.7', {i} % 100, 18446744073709551615, 0.1
"""


def test_it_renders_every_type_as_duckdb_does(written_lake: WrittenLake) -> None:
    written_lake.run(f"CREATE TABLE t ({TYPES})")
    expected = {name: kind for name, kind, *_ in written_lake.run("DESCRIBE t")}
    found = {c.name: c.duckdb_type for c in written_lake.table().top_columns}
    rendered = {
        name: str(written_lake.run(f"SELECT typeof(NULL::{kind})")[0][0])
        for name, kind in found.items()
    }
    assert rendered == expected


def test_it_counts_rows_after_deletes_updates_and_inlined_inserts(
    written_lake: WrittenLake,
) -> None:
    written_lake.run(
        "CREATE TABLE t (i INTEGER, s VARCHAR)",
        "INSERT INTO t SELECT i, 's' || i FROM range(1000) r(i)",
        "INSERT INTO t VALUES (5000, 'inlined'), (5001, 'inlined')",
        "DELETE FROM t WHERE i < 100",
        "DELETE FROM t WHERE i IN (200, 201, 5001)",
        "UPDATE t SET s = 'new' WHERE i = 300",
    )
    newest = written_lake.snapshot.snapshot_id
    for at in range(1, newest + 1):
        expected = written_lake.run(f"SELECT count(*) FROM t AT (VERSION => {at})")[0][0]
        assert written_lake.table(at=at).record_count == expected, at


def test_it_finds_tables_of_every_snapshot_and_schema(written_lake: WrittenLake) -> None:
    written_lake.run("CREATE TABLE t (i INTEGER)")
    first = written_lake.snapshot.snapshot_id
    written_lake.run(
        "CREATE SCHEMA other", "CREATE TABLE other.T2 (i INTEGER)", "DROP TABLE lake.main.t"
    )
    then = lake.tables(written_lake.catalog, first)
    now = lake.tables(written_lake.catalog, written_lake.snapshot.snapshot_id)
    assert [t.label for t in then] == ["lake.main.t"]
    assert [t.label for t in now] == ["lake.other.T2"]
    assert lake.table(written_lake.catalog, first + 5, "OTHER", "t2") is not None


def test_it_lists_many_tables_with_as_many_queries_as_few(
    written_lake: WrittenLake, django_assert_num_queries: Any
) -> None:
    for count in (2, 20):
        written_lake.run(*(f"CREATE TABLE t_{count}_{at} (i INTEGER)" for at in range(count)))
        newest = written_lake.snapshot.snapshot_id
        with django_assert_num_queries(3):
            found = lake.tables(written_lake.catalog, newest)
    assert len(found) == 22


def test_it_follows_renamed_and_added_columns_through_inlined_rows(
    written_lake: WrittenLake,
) -> None:
    written_lake.run(
        "CREATE TABLE t (a INTEGER, b VARCHAR)",
        "INSERT INTO t VALUES (1, 'b1')",
        "ALTER TABLE t RENAME COLUMN a TO c",
        "ALTER TABLE t RENAME COLUMN b TO a",
        "ALTER TABLE t ADD COLUMN b INTEGER DEFAULT 42",
        "INSERT INTO t VALUES (2, 'a2', 7)",
    )
    table = written_lake.table()
    [rows] = lake.slice_rows(
        written_lake.catalog, written_lake.snapshot, [lake.Selection(table)]
    ).inlined
    assert rows.columns == (("c", "INTEGER"), ("a", "VARCHAR"), ("b", "INTEGER"))
    expected = written_lake.run("SELECT * FROM t ORDER BY c")
    assert [tuple(r) for r in rows.rows] == [
        tuple(None if v is None else str(v) for v in r) for r in expected
    ]


def test_it_follows_fields_of_nested_columns_through_inlined_rows(
    written_lake: WrittenLake,
) -> None:
    written_lake.run(
        "CREATE TABLE t (i INTEGER, st STRUCT(a INTEGER, b VARCHAR, c VARCHAR[]),"
        " l STRUCT(x INTEGER, y VARCHAR)[], m MAP(VARCHAR, STRUCT(p INTEGER, q VARCHAR)))",
        "INSERT INTO t VALUES (1, {'a': 1, 'b': 'it''s, {b: [1]}', 'c': ['x=1', NULL, 'NULL']},"
        " [{'x': 1, 'y': 'b\\c'}, NULL], MAP {'k=1, ''': {'p': 1, 'q': 'a'}})",
        "INSERT INTO t VALUES (2, NULL, [], MAP {})",
        "ALTER TABLE t RENAME COLUMN st.a TO tmp",
        "ALTER TABLE t RENAME COLUMN st.b TO a",
        "ALTER TABLE t RENAME COLUMN st.tmp TO b",
        "ALTER TABLE t ADD COLUMN st.d INTEGER",
        "ALTER TABLE t DROP COLUMN st.c",
        "INSERT INTO t (i, st) VALUES (3, {'a': 'new', 'b': 7, 'd': 4})",
    )
    check_inlined(written_lake)


def check_inlined(written_lake: WrittenLake) -> None:
    """Check that casting the inlined text to the present types gives what DuckDB reads."""
    [rows] = lake.slice_rows(
        written_lake.catalog, written_lake.snapshot, [lake.Selection(written_lake.table())]
    ).inlined
    values = ", ".join(
        f"unhex(${at})::VARCHAR" if kind == "BLOB" else f"CAST(${at} AS {kind})::VARCHAR"
        for at, (_, kind) in enumerate(rows.columns, 1)
    )
    cast = [written_lake.con.execute(f"SELECT {values}", list(r)).fetchone() for r in rows.rows]
    assert cast == written_lake.run("SELECT COLUMNS(*)::VARCHAR FROM t ORDER BY rowid")


def test_it_gives_inlined_values_of_every_type_as_exact_text(written_lake: WrittenLake) -> None:
    nulls = ", ".join(["NULL"] * 19)
    written_lake.run(
        f"CREATE TABLE t ({TYPES})",
        f"INSERT INTO t SELECT {ROW.format(i='i')} FROM range(5) r(i)",
        f"INSERT INTO t VALUES ({nulls})",
        "INSERT INTO t (i, s, f, fl) VALUES (7, 'NULL', 'nan', '-inf')",
        "INSERT INTO t (i, s) SELECT 8, 'zero' || chr(0) || 'byte'",
    )
    check_inlined(written_lake)


def test_it_slices_only_what_was_selected(written_lake: WrittenLake) -> None:
    written_lake.run(
        "CREATE TABLE t (i INTEGER, s VARCHAR)",
        "CREATE TABLE secret (i INTEGER)",
        "INSERT INTO t SELECT i, 's' FROM range(1000) r(i)",
        "INSERT INTO t SELECT i, 's' FROM range(1000) r(i)",
        "INSERT INTO secret SELECT i FROM range(1000) r(i)",
        "DELETE FROM t WHERE i < 100",
    )
    table = written_lake.table()
    selection = lake.Selection(table, frozenset({"i"}), (0,))
    tables = lake.slice_rows(written_lake.catalog, written_lake.snapshot, [selection]).tables
    files = tables["ducklake_data_file"]
    assert [row[0] for row in files.rows] == [0]
    assert files.rows[0][files.columns.index("path")].startswith(table.prefix)
    assert {row[1] for row in tables["ducklake_table"].rows} == {str(table.table_uuid)}
    assert [row[5] for row in tables["ducklake_column"].rows] == ["i"]
    assert len(tables["ducklake_delete_file"].rows) == 1
    assert {row[2] for row in tables["ducklake_file_column_stats"].rows} == {1}


def test_it_says_what_each_snapshot_changed(written_lake: WrittenLake) -> None:
    written_lake.run(
        "BEGIN",
        "CREATE TABLE t (i INTEGER)",
        "CALL lake.set_commit_message('ann', 'first', extra_info => 'job-1')",
        "COMMIT",
    )
    newest, oldest = lake.snapshots(written_lake.catalog, limit=10)
    assert (newest.author, newest.message) == ("ann", "first")
    assert newest.changes == ('created_table:"main"."t"',)
    assert lake.committed_with(written_lake.catalog, "job-1") == newest.snapshot_id
    assert lake.committed_with(written_lake.catalog, "job-2") is None
    assert lake.snapshots(written_lake.catalog, before=newest.snapshot_id) == [oldest]


def test_it_refuses_an_unknown_snapshot(written_lake: WrittenLake) -> None:
    with pytest.raises(lake.UnknownSnapshot, match="no snapshot 99"):
        lake.snapshot(written_lake.catalog, 99)


def test_it_says_that_a_lake_is_not_ready(written_lake: WrittenLake) -> None:
    written_lake.catalog.metadata_schema = "absent"
    with pytest.raises(lake.CatalogNotReady, match="still being created"):
        lake.latest_snapshot(written_lake.catalog)


@pytest.mark.parametrize(
    "path",
    [
        "s3://upend/catalogs/other/main/t/f.parquet",
        "s3://another/catalogs/x/f.parquet",
        "/etc/passwd",
        "{root}../other/f.parquet",
        "{root}main/./f.parquet",
        "{root}main//f.parquet",
        "{root}main/f.parquet?s3_endpoint=evil",
        "{root}main/*.parquet",
    ],
)
def test_it_refuses_a_file_outside_the_prefix(written_lake: WrittenLake, path: str) -> None:
    written_lake.run("CREATE TABLE t (i INTEGER)", "INSERT INTO t SELECT i FROM range(1000) r(i)")
    root = f"s3://upend/{written_lake.catalog.prefix}"
    written_lake.run(
        "UPDATE __ducklake_metadata_lake."
        + written_lake.catalog.metadata_schema
        + f".ducklake_data_file SET path = '{path.format(root=root)}', path_is_relative = false"
    )
    selection = lake.Selection(written_lake.table())
    with pytest.raises(lake.PathOutsidePrefix):
        lake.slice_rows(written_lake.catalog, written_lake.snapshot, [selection])
