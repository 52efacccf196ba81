"""What masks rely on of DuckDB's SQL alone; the other facts are in `test_canaries.py`."""

from __future__ import annotations

import duckdb


def test_it_takes_a_struct_for_a_table_of_its_name() -> None:
    """⚑ Which is why masks extract fields by function: `t.a` may be a column of the table `t`."""
    con = duckdb.connect()
    con.execute("CREATE TABLE t AS SELECT {'a': 'of the struct'} AS t, 'of the table' AS a")
    found = con.execute("SELECT t.a, struct_extract(t, 'a') FROM t").fetchall()
    assert found == [("of the table", "of the struct")]


def test_it_turns_errors_of_a_row_into_null() -> None:
    """⚑ Masks by bucket rely on it at the ends of a type: an error would print a value."""
    con = duckdb.connect()
    sql = "SELECT TRY(CAST(CAST(x AS HUGEINT) - 100 AS TINYINT)) FROM (SELECT (-128)::TINYINT AS x)"
    assert con.execute(sql).fetchall() == [(None,)]
