"""The gate lets queries through, all of them and nothing else, and says why it refuses."""

from __future__ import annotations

import contextlib
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from execution.gate import RefusalCode, SqlRefused, check, functions
from execution.gate.check import fold
from upend import slices

QUERIES = {
    # what is written: the tables it names
    "SELECT 1": [],
    "FROM t": ["t"],
    "TABLE c.s.t": ["c.s.t"],
    "SELECT a, rank() OVER w FROM t WINDOW w AS (ORDER BY a) QUALIFY rank() OVER w < 3": ["t"],
    "SELECT * FROM t, LATERAL (SELECT t.a + u.b FROM u)": ["t", "u"],
    "FROM t ASOF JOIN u ON t.k = u.k AND t.at >= u.at": ["t", "u"],
    "FROM t POSITIONAL JOIN u": ["t", "u"],
    "FROM t SEMI JOIN u USING (k) ANTI JOIN v USING (k)": ["t", "u", "v"],
    "SELECT * FROM t NATURAL FULL OUTER JOIN u": ["t", "u"],
    "PIVOT t ON c IN ('a', 'b') USING sum(v) GROUP BY x": ["t"],
    "UNPIVOT t ON a, b INTO NAME n VALUE v": ["t"],
    "DESCRIBE t": ["t"],
    "SUMMARIZE SELECT * FROM t": ["t"],
    "VALUES (1, 'a'), (2, NULL)": [],
    "SELECT x FROM range(3) r(x) JOIN unnest([1, 2]) u(y) ON x = y": [],
    "SELECT [x + 1 FOR x IN l IF x > 0], list_filter(l, lambda x: x > 1) FROM t": ["t"],
    "SELECT (SELECT max(b) FROM u WHERE u.k = t.k) FROM t WHERE EXISTS (FROM v)": ["u", "t", "v"],
    "SELECT 1 UNION ALL BY NAME SELECT a FROM t EXCEPT (SELECT b FROM u)": ["t", "u"],
    "SELECT a::DECIMAL(10,2)[], TRY_CAST(b AS STRUCT(x INT, y JSON)), c->>'$.x' FROM t": ["t"],
    "SELECT extract(year FROM a), a AT TIME ZONE 'Europe/Oslo', INTERVAL 3 DAY FROM t": ["t"],
    "SELECT count(*) FILTER (a > 1), sum(DISTINCT b ORDER BY c) FROM t GROUP BY ALL": ["t"],
    "SELECT grouping(a), a FROM t GROUP BY GROUPING SETS (CUBE (a, b), ROLLUP (c), ())": ["t"],
    "SELECT * EXCLUDE (a) REPLACE (1 AS b) RENAME (c AS d), COLUMNS('x.*') FROM t": ["t"],
    "SELECT DISTINCT ON (a) * FROM t ORDER BY ALL DESC NULLS LAST LIMIT 10% OFFSET 3": ["t"],
    "FROM t TABLESAMPLE reservoir(10 ROWS) REPEATABLE (7)": ["t"],
    "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY a), mode(b) FROM t": ["t"],
    "SELECT {'a': 1}.a, MAP {'k': 2}['k'], [1, 2][1:2], (1, 2), t FROM t": ["t"],
    "FROM 'a.parquet'": ["a.parquet"],
    "SELECT * FROM T, t, \"T\", main.t": ["T", "main.t"],
    "SELECT * FROM \"Ä\", \"ä\"": ["Ä", "ä"],
    # common table expressions hide names from where they are in scope, and nowhere else
    "WITH t AS (FROM u) FROM t": ["u"],
    "WITH t AS (FROM t) FROM t": ["t"],
    "WITH a AS (FROM t), b AS (FROM a) FROM a, b, c": ["c", "t"],
    "WITH T AS (SELECT 1) FROM t, s.t": ["s.t"],
    "SELECT * FROM (WITH t AS (SELECT 1) FROM t), t": ["t"],
    "WITH t AS (SELECT 1) SELECT (SELECT max(a) FROM (FROM t)) FROM u": ["u"],
    "WITH RECURSIVE r AS (SELECT 1 UNION ALL SELECT n FROM r, t) FROM r": ["t"],
    "WITH RECURSIVE r(a) USING KEY (a) AS (SELECT 1 UNION SELECT a FROM r, recurring.r) FROM r": [],
}  # fmt: skip

REFUSED = {
    "": "empty",
    "-- nothing": "empty",
    "SELECT 1; SELECT 2": "multiple_statements",
    "SELECT ?": "parameter",
    "SELECT $name": "parameter",
    "SELECT * FROM t AT (VERSION => 3)": "time_travel",
    "SELECT 'a\x00b'": "control_character",
    "SELECT 1" + " " * 100_000: "too_long",
    "SELECT " + "(" * 20_000 + "1" + ")" * 20_000: "parse",
    "SELECT " + "+".join(["a"] * 900): "too_deep",
    "SELECT a IN (" + ",".join(["1"] * 40_000) + ")": "too_complex",
    "SELECT * FROM " + ", ".join(f"t{i}" for i in range(65)): "too_complex",
    "WITH pg_class AS (SELECT 1) FROM pg_class": "cte_system_name",
    "WITH \"SQLITE_MASTER\" AS (SELECT 1) SELECT 1": "cte_system_name",
    "SELECT pg_catalog.version()": "qualified_function",
    "SELECT system.main.abs(1)": "qualified_function",
    "SELECT VERSION()": "function",
    "SELECT x -> getenv('A')": "function",
    "SELECT list_transform([1], x -> sleep_ms(1))": "function",
    "SELECT sum(a) OVER (ORDER BY stats(a)) FROM t": "function",
    "SELECT a FROM t ORDER BY error(a)": "function",
    "SELECT a FROM t LIMIT nextval('s')": "function",
    "SELECT * FROM t JOIN u ON current_setting('x') = 'y'": "function",
    "SELECT * FROM range(current_setting('threads')::INT)": "function",
    "SELECT '1'::VARIANT": "type",
    "SELECT NULL::STRUCT(a GEOMETRY[])": "type",
    "SELECT a::mytype FROM t": "type",
    "SHOW TABLES": "show",
    "SHOW ALL TABLES": "show",
    "SELECT DEFAULT": "syntax",
    "EXPLAIN SELECT 1": "not_select",
    "FROM read_parquet('a')": "table_function",
    "FROM main.range(3)": "qualified_function",
}  # fmt: skip


@pytest.mark.parametrize("sql", QUERIES)
def test_it_names_the_tables_of_a_query(sql: str) -> None:
    assert [table.text for table in check(sql).tables] == QUERIES[sql]


@pytest.mark.parametrize("sql", REFUSED, ids=lambda sql: sql[:40])
def test_it_refuses_with_a_reason(sql: str) -> None:
    with pytest.raises(SqlRefused) as caught:
        check(sql)
    assert caught.value.reason.value == REFUSED[sql]
    assert caught.value.status == 422


def test_it_shows_the_place_of_a_mistake() -> None:
    with pytest.raises(SqlRefused) as caught:
        check("SELECT 'é',\n   selec(1) FROM t")
    assert caught.value.extra == {"reason_code": "function", "line": 2, "column": 4}
    assert caught.value.hint == ""
    with pytest.raises(SqlRefused) as caught:
        check("SELECT 1\nFRM t x")
    assert (caught.value.extra["line"], caught.value.extra["column"]) == (2, 5)


def test_it_says_what_may_have_been_meant() -> None:
    with pytest.raises(SqlRefused) as caught:
        check("SELECT date_truncate('day', a) FROM t")
    assert "date_trunc" in caught.value.hint


def test_it_works_in_every_thread() -> None:
    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(lambda i: check(f"FROM t{i % 3}").tables, range(60)))) == 3


def test_it_works_after_a_fork() -> None:
    check("FROM t")
    child = os.fork()
    if child == 0:
        os._exit(0 if check("FROM u").tables else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_it_lists_every_function_of_the_engine() -> None:
    """⚑ An engine upgrade adds functions: each is to be read, then allowed or refused."""
    con = slices.connect(memory_bytes=2**30, threads=1)
    found = con.execute(
        "SELECT DISTINCT lower(function_name) FROM duckdb_functions() "
        "WHERE function_type IN ('scalar', 'aggregate', 'macro')"
    ).fetchall()
    names = {name for (name,) in found}
    unread = {n for n in names if n not in functions.allowed() and not functions.is_refused(n)}
    assert unread == set()
    assert functions.allowed() - names == {"unlist", "unnest"}


def test_it_documents_every_reason() -> None:
    text = Path(__file__).parents[2].joinpath("docs/reference/sql.md").read_text("utf-8")
    table = text.partition("## Why a text is refused")[2].partition("|---|---|")[2]
    documented = set(re.findall(r"^\| `([a-z_]+)` \|", table, re.MULTILINE))
    assert documented == {code.value for code in RefusalCode}
    assert [name for name in functions.TABLE_FUNCTIONS if f"`{name}`" not in text] == []


def test_it_refuses_no_function_that_it_allows() -> None:
    assert [name for name in functions.allowed() if functions.is_refused(name)] == []


def test_it_reads_nothing_through_a_function_in_from() -> None:
    con = slices.connect(memory_bytes=2**30, threads=1)
    rows = con.execute(
        "SELECT DISTINCT function_name FROM duckdb_functions() "
        "WHERE function_type IN ('table', 'table_macro')"
    ).fetchall()
    for (name,) in rows:
        if name not in functions.TABLE_FUNCTIONS:
            with pytest.raises(SqlRefused) as caught:
                check(f"SELECT * FROM \"{name}\"('x')")
            assert caught.value.reason is RefusalCode.TABLE_FUNCTION


names = st.sampled_from(["t", "lake.main.hr", '"HR"', "sales s", "main.sales", "'x.parquet'"])
columns = st.sampled_from(["a", "s.b", "*", "count(*)", "max(a)", "a[1]", "a::INT", "lower(a)"])


def subqueries(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    one = st.tuples(columns, inner)
    return st.one_of(
        one.map(lambda p: f"SELECT {p[0]} FROM ({p[1]}) x"),
        one.map(lambda p: f"SELECT (SELECT 1 FROM ({p[1]})), {p[0]} FROM t"),
        one.map(lambda p: f"SELECT {p[0]} FROM t WHERE EXISTS ({p[1]})"),
        one.map(lambda p: f"SELECT {p[0]} FROM t WHERE a IN ({p[1]}) ORDER BY ({p[1]})"),
        one.map(lambda p: f"SELECT {p[0]} FROM t, LATERAL ({p[1]}) LIMIT ({p[1]})"),
        one.map(lambda p: f"WITH t AS ({p[1]}) SELECT {p[0]} FROM t"),
        one.map(lambda p: f"({p[1]}) UNION ALL SELECT {p[0]} FROM t"),
        one.map(lambda p: f"SELECT list_transform([1], x -> ({p[1]})), {p[0]} FROM t"),
        one.map(lambda p: f"SELECT CASE WHEN a THEN ({p[1]}) END FROM (SUMMARIZE {p[1]})"),
        one.map(lambda p: f"FROM ({p[1]}) UNPIVOT (v FOR n IN (b, c))"),
        one.map(lambda p: f"SELECT DISTINCT ON (({p[1]})) {p[0]} FROM t"),
        one.map(lambda p: f"SELECT [y FOR y IN ({p[1]})] FROM t"),
        one.map(lambda p: f"SELECT {p[0]} FROM t JOIN u ON (({p[1]}) = t.a)"),
        one.map(lambda p: f"SELECT * REPLACE (({p[1]}) AS a) FROM t"),
        one.map(lambda p: f"SELECT count(*) FILTER (WHERE ({p[1]}) > 1) FROM t"),
        one.map(lambda p: f"VALUES (({p[1]}))"),
    )


def queries(leaf: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.recursive(leaf, subqueries, max_leaves=4)


@settings(max_examples=300, deadline=None)
@given(queries(st.just("SELECT ssn FROM hidden.main.secret")))
def test_it_finds_a_table_however_deep_it_hides(sql: str) -> None:
    assert "hidden.main.secret" in {table.text for table in check(sql).tables}


@settings(max_examples=300, deadline=None)
@given(queries(st.just("SELECT current_setting('secret')")))
def test_it_finds_a_function_however_deep_it_hides(sql: str) -> None:
    with pytest.raises(SqlRefused) as caught:
        check(sql)
    assert caught.value.reason is RefusalCode.FUNCTION


@settings(max_examples=200, deadline=None)
@given(queries(st.tuples(columns, names).map(lambda p: f"SELECT {p[0]} FROM {p[1]}")))
def test_it_renders_what_it_checked(sql: str) -> None:
    checked = check(sql)
    again = check(checked.canonical_sql)
    assert {fold(t.text) for t in again.tables} == {fold(t.text) for t in checked.tables}
    assert again.functions >= checked.functions


@settings(max_examples=500, deadline=None)
@given(st.text(max_size=80))
@example("SELECT * FROM\u00a0t")
@example("\ufeffSELECT 1")
@example("\ud800")
def test_it_answers_any_text_with_tables_or_a_reason(sql: str) -> None:
    with contextlib.suppress(SqlRefused):
        assert check(sql).canonical_sql
