"""DuckDB itself says what a query reads; the process it says so in may hang, die or be attacked."""

from __future__ import annotations

import os
import queue
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from catalog.domain import ColumnFilter
from execution.bind import BinderPool, BindError, Bound, HiddenTable, PlanningFailed, bind
from execution.bind.pool import BinderBusy
from execution.bind.process import Limits
from governance.domain import ColumnMask, Obligations, RowFilter
from problems import Problem

from .tables import hidden, table

BIG = table(
    "big",
    {
        "id": "BIGINT", "day": "DATE", "price": "DECIMAL(12,2)", "name": "VARCHAR",
        "s": "STRUCT(a INTEGER, b VARCHAR)", "ts": "TIMESTAMP", "l": "INTEGER[]", "f": "DOUBLE",
        "flag": "BOOLEAN", "tz": "TIMESTAMPTZ", "h": "HUGEINT", "wide": "DECIMAL(38,2)",
        "u": "UUID", "t": "TIME", "b": "BLOB", "x AND y>='z'": "VARCHAR", "NULL": "INTEGER",
        "a.b": "INTEGER", "it's": "VARCHAR", "c1": "INTEGER",
    },
)  # fmt: skip
SMALL = table("small", {"id": "BIGINT", "v": "VARCHAR"}, table_id=2, rows=50)
Run = Callable[..., Bound]
ALL_COLUMNS = tuple(c.name for c in BIG.top_columns)


@pytest.fixture(scope="module")
def binders() -> Iterator[BinderPool]:
    pool = BinderPool(size=1)
    yield pool
    pool.close()


@pytest.fixture
def bound(binders: BinderPool) -> Run:
    def run(sql: str, tables: list[HiddenTable] | None = None) -> Bound:
        return bind(sql, tables or hidden(BIG, SMALL), [("lake", "main")], binders=binders)

    return run


READS = {
    "SELECT name FROM big": ("name",),
    "SELECT count(*) FROM big": (),
    "SELECT name FROM big WHERE day > '2020-01-01'": ("day", "name"),
    "SELECT s.a FROM big": ("s",),
    "SELECT count(*) FROM big WHERE s.b = 'q' AND l IS NULL": ("s", "l"),
    "SELECT 1 FROM big WHERE lower(name) = 'x'": ("name",),
    'SELECT "x AND y>=\'z\'" FROM big WHERE "NULL" > 3 AND "it\'s" LIKE \'q%\'': (
        "x AND y>='z'", "NULL", "it's",
    ),
    'SELECT "a.b" FROM big WHERE c1 = 3': ("a.b", "c1"),
    "SELECT * FROM big": ALL_COLUMNS,
    "SELECT * FROM (SELECT name, id FROM big) WHERE id = 1": ("id", "name"),
    "SELECT max(price) OVER (PARTITION BY day ORDER BY id) FROM big": ("id", "day", "price"),
    "SELECT id FROM big ORDER BY price DESC LIMIT 5": ("id", "price"),
}  # fmt: skip


@pytest.mark.parametrize("sql", READS)
def test_it_names_the_columns_that_are_read(sql: str, bound: Run) -> None:
    read = {column for scan in bound(sql).scans for column in scan.columns}
    assert tuple(c for c in ALL_COLUMNS if c in read) == READS[sql]


def f(column: str, operator: str, *values: str) -> ColumnFilter:
    return ColumnFilter(column, operator, values)


FILTERS = {
    "id = 3": [f("id", "=", "3")],
    "id <> 3": None,
    "NOT (id < 3)": [f("id", ">=", "3")],
    "3 > id": [f("id", "<", "3")],
    "id + 1 = 5": [f("id", "=", "4")],
    "id BETWEEN -5 AND 3": [f("id", ">=", "-5"), f("id", "<=", "3")],
    "id IN (1, 5, 9)": [f("id", "in", "1", "5", "9")],
    "id = 1 OR id = 5": [f("id", "in", "1", "5")],
    "id IN (1, 2, 3)": [f("id", ">=", "1"), f("id", "<=", "3")],
    "id IN (1, 9, NULL)": [f("id", "in", "1", "9")],
    "id NOT IN (1, 9)": None,
    "id = 1 OR name = 'x'": [],
    "id = 1 OR id IS NULL": None,
    "id > 5 AND id < 100 AND id <> 7": [f("id", ">", "5"), f("id", "<", "100")],
    "id IS NULL": [f("id", "is_null")],
    "l IS NOT NULL": [f("l", "is_not_null")],
    "id > 3.5": None,
    "CAST(id AS VARCHAR) = '5'": None,
    "day >= DATE '2020-03-01' AND day <= '2020-03-05'": [
        f("day", ">=", "2020-03-01"), f("day", "<=", "2020-03-05"),
    ],
    "day IN ('2020-01-01', '2021-01-01')": [f("day", "in", "2020-01-01", "2021-01-01")],
    "date_trunc('month', day) = '2020-01-01'": [
        f("day", ">=", "2020-01-01"), f("day", "<", "2020-02-01"),
    ],
    "year(day) = 2020": [],
    "ts >= '2020-01-01'": [f("ts", ">=", "2020-01-01 00:00:00")],
    "ts::DATE = '2020-01-01'": [
        f("ts", ">=", "2020-01-01 00:00:00"), f("ts", "<", "2020-01-02 00:00:00"),
    ],
    "tz < '2020-01-01 00:00:00+02'": [f("tz", "<", "2019-12-31 22:00:00+00")],
    "price = -3.5": [f("price", "=", "-3.50")],
    "price < 0.07": [f("price", "<", "0.07")],
    "price IN (-1, 2.5)": [f("price", "in", "-1.00", "2.50")],
    "wide = 123456789012345678901234567890.12": [
        f("wide", "=", "123456789012345678901234567890.12"),
    ],
    "wide = -123456789012345678901234567890.12": [
        f("wide", "=", "-123456789012345678901234567890.12"),
    ],
    "h = -170141183460469231731687303715884105727": [
        f("h", "=", "-170141183460469231731687303715884105727"),
    ],
    "h > 18446744073709551616": [f("h", ">", "18446744073709551616")],
    "f > 1e10": [f("f", ">", "10000000000.0")],
    "f > -1.5": [f("f", ">", "-1.5")],
    "f = 'inf'::DOUBLE": None,
    "flag": [f("flag", "=", "true")],
    "NOT flag": [f("flag", "=", "false")],
    "flag = false": [f("flag", "=", "false")],
    "name = 'it''s \"x\" AND y = 3'": [f("name", "=", "it's \"x\" AND y = 3")],
    "name = 'a' || chr(10) || 'c1=5'": [f("name", "=", "a\nc1=5")],
    "name = 'optional: x'": [f("name", "=", "optional: x")],
    "name = ''": [f("name", "=", "")],
    "name LIKE 'ab%'": [f("name", ">=", "ab"), f("name", "<", "ac")],
    "name LIKE 'a_%'": [f("name", ">=", "a"), f("name", "<", "b")],
    "name LIKE '%b'": None,
    "starts_with(name, 'q')": [f("name", ">=", "q")],
    "name ILIKE 'x%'": None,
    "name > 'é☃'": [f("name", ">", "é☃")],
    "name IN ('a', 'b,c', 'd''e')": [f("name", "in", "a", "b,c", "d'e")],
    "u = '00000000-0000-0000-0000-00000000000a'": [
        f("u", "=", "00000000-0000-0000-0000-00000000000a"),
    ],
    "t > '10:00:00.5'": [f("t", ">", "10:00:00.5")],
    "b = '\\xAA'::BLOB": None,
    "s.a = 4": None,
    "s.a > 4 AND s.b = 'x' AND id = 1": [f("id", "=", "1")],
    "id < price": [],
    "id = 3 AND id < price": [f("id", "=", "3")],
    "id = (SELECT max(id) FROM small)": [],
    "id IN (SELECT id FROM small)": [],
    "\"x AND y>='z'\" >= 'x'": [f("x AND y>='z'", ">=", "x")],
    '"NULL" = 3': [f("NULL", "=", "3")],
    '"it\'s" = \'c1\'': [f("it's", "=", "c1")],
    "random() < 0.5": [],
    "name IS NULL AND lower(name) = 'x' AND price BETWEEN 1 AND 2": [
        f("price", ">=", "1.00"), f("price", "<=", "2.00"), f("name", "is_null"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("condition", FILTERS)
def test_it_reads_the_filters_that_were_pushed_down(condition: str, bound: Run) -> None:
    """⚑ The texts are EXPLAIN's own: other texts prune nothing."""
    (scan,) = [s for s in bound(f"SELECT id FROM big WHERE {condition}").scans
               if s.hidden.name == "t1"]  # fmt: skip
    expected = FILTERS[condition]
    known = set(scan.filters)
    if expected is None:
        assert known == set()
        assert scan.unknown_filters
    else:
        assert known == set(expected)


def test_it_prunes_nothing_by_what_another_reference_to_the_table_demands(bound: Run) -> None:
    found = bound("SELECT (SELECT count(*) FROM big), (SELECT max(id) FROM big WHERE id < 9)")
    assert sorted(len(scan.filters) for scan in found.scans) == [0, 1]


def test_it_scans_a_table_that_is_only_counted(bound: Run) -> None:
    """⚑ Engines count from metadata; the binder must not, or it would not ask for all files."""
    (scan,) = bound("SELECT count(*) FROM big").scans
    assert (scan.columns, scan.filters) == ((), ())


def test_it_names_the_result(bound: Run) -> None:
    sql = "SELECT id, id, s, price * 2 AS twice FROM big; -- with a comment"
    assert bound(sql).columns == (
        ("id", "BIGINT"),
        ("id", "BIGINT"),
        ("s", "STRUCT(a INTEGER, b VARCHAR)"),
        ("twice", "DECIMAL(18,2)"),
    )
    assert bound("DESCRIBE big").columns[0] == ("column_name", "VARCHAR")
    assert bound("SUMMARIZE big").scans


def test_it_resolves_names_like_the_engine_that_will_run_it(bound: Run) -> None:
    other = table("big", {"z": "INTEGER"}, catalog="other", schema="s2")
    tables = hidden(BIG, other)
    for sql in ("FROM lake.main.big", "FROM LAKE.BIG", "FROM main.big", "FROM Big"):
        assert {s.hidden.name for s in bound(sql, tables).scans} == {"t1"}
    assert {s.hidden.name for s in bound("FROM other.s2.big", tables).scans} == {"t2"}


def test_it_counts_joins_and_keeps_the_operators(bound: Run) -> None:
    found = bound("SELECT name, count(*) FROM big JOIN small USING (id) GROUP BY name")
    assert found.joins == 1
    assert [root.name for root in found.roots] == ["HASH_GROUP_BY"]
    assert found.roots[0].detail("Aggregates") == ("count_star()",)


@pytest.mark.parametrize(
    ("sql", "words", "place"),
    [
        ("SELECT\n  nam FROM big", '"nam" not found', (2, 3)),
        ("SELECT 'é', big.nam FROM big", "nam", (1, 13)),
        ("SELECT id + name FROM big", "No function matches", (1, 11)),
        ("SELECT max(id), name FROM big", "GROUP BY", (1, 17)),
        ("SELECT s.zz FROM big", "zz", None),
        ("SELECT id FROM big, small", "Ambiguous", (1, 8)),
        ("SELECT rowid FROM big", "rowid", (1, 8)),
        ("SELECT filename FROM big", "filename", (1, 8)),
    ],
)
def test_it_says_where_a_query_does_not_fit(
    sql: str, words: str, place: tuple[int, int] | None, bound: Run
) -> None:
    with pytest.raises(BindError) as caught:
        bound(sql)
    assert words in caught.value.detail
    assert "t1" not in caught.value.detail
    found = caught.value.extra
    assert place is None or (found["line"], found["column"]) == place


def test_it_binds_on_masked_columns_and_behind_row_filters(bound: Run) -> None:
    obligations = Obligations(
        masks=(ColumnMask("name", "'***'", "mask"),),
        row_filters=(RowFilter("day > '2020-01-01'", "fence"),),
        hidden_columns=frozenset({"price"}),
    )
    secured = [HiddenTable("t1", BIG, obligations)]
    (scan,) = bound("SELECT name, id FROM big WHERE id = 3", secured).scans
    assert scan.columns == ("id", "day")
    assert scan.filters == (f("day", ">", "2020-01-01"),)
    with pytest.raises(BindError):
        bound("SELECT price FROM big", secured)


HANG = f"SELECT repeat('a', 100000) LIKE '{'%a_' * 100}b'"


def test_it_survives_a_query_that_hangs_the_planner() -> None:
    pool = BinderPool(size=1, limits=Limits(cpu_seconds=0.5, deadline_seconds=60.0))
    with pytest.raises(PlanningFailed, match="took longer"):
        bind(HANG, [], [], binders=pool)
    assert bind("SELECT name FROM big", hidden(BIG), [("lake", "main")], binders=pool).scans
    pool.close()


def test_it_ends_a_bind_that_makes_no_progress() -> None:
    pool = BinderPool(size=1, limits=Limits(cpu_seconds=60.0, deadline_seconds=0.5))
    with pytest.raises(PlanningFailed, match="took longer"):
        bind(HANG, [], [], binders=pool)
    pool.close()


def test_it_delays_nobody_by_what_another_sends() -> None:
    pool = BinderPool(limits=Limits(cpu_seconds=5.0, deadline_seconds=60.0))
    tables, path = hidden(BIG), [("lake", "main")]
    pool.warm()
    bind("FROM big", tables, path, principal="analyst", binders=pool)
    refused: queue.Queue[Problem] = queue.Queue()

    def hang() -> None:
        try:
            bind(HANG, [], [], principal="abuser", binders=pool)
        except Problem as problem:
            refused.put(problem)

    threads = [threading.Thread(target=hang) for _ in range(pool.size)]
    for thread in threads:
        thread.start()
    for person in ("analyst", "steward", "owner"):
        assert bind("FROM big", tables, path, principal=person, binders=pool).scans
    assert refused.empty(), "they were answered while the first one hung"
    pool.limits = Limits(cpu_seconds=0.2, deadline_seconds=60.0)  # for those that wait
    for thread in threads:
        thread.join()
    assert {type(refused.get()) for _ in threads} <= {PlanningFailed, BinderBusy}
    pool.close()


def test_it_survives_the_death_of_a_process() -> None:
    pool = BinderPool(size=1)
    tables = hidden(BIG)
    bind("FROM big", tables, [("lake", "main")], binders=pool)
    os.kill(pool._idle[0].pid, signal.SIGKILL)
    pool._idle[0]._process.wait()
    assert bind("FROM big", tables, [("lake", "main")], binders=pool).scans
    pool.close()


def test_it_serves_threads_with_few_processes() -> None:
    pool = BinderPool(size=2)
    pool.warm()
    failed: list[Exception] = []

    def work(number: int) -> None:
        one = table("big", {f"col{number}": "BIGINT"})
        try:
            found = bind(f"SELECT col{number} FROM big", hidden(one), [("lake", "main")],
                         principal=f"person {number % 4}", binders=pool)  # fmt: skip
            assert found.columns == ((f"col{number}", "BIGINT"),)
        except Exception as error:  # noqa: BLE001 - reported by the test
            failed.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert pool._count == 2
    pool.close()


def test_it_says_so_when_all_processes_are_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("execution.bind.pool.QUEUE_SECONDS", 0.05)
    with pytest.raises(BinderBusy):
        BinderPool(size=0).ask({"slices": []})


def test_it_gives_the_process_nothing(binders: BinderPool, bound: Run) -> None:
    bound("FROM big")
    environment = Path(f"/proc/{binders._idle[0].pid}/environ").read_bytes()
    assert environment == b""
    for sql in ("SELECT * FROM read_text('/etc/passwd')", "ATTACH '/tmp/x.duckdb' AS x"):
        with pytest.raises(BindError):
            bound(sql)


def test_it_keeps_the_words_of_a_policy_that_does_not_fit_any_more(
    binders: BinderPool, bound: Run
) -> None:
    """Nor is the process used on, in which a part of the slice is left."""
    mask = ColumnMask("name", "nope(price, 'SECRET')", "mask-name")
    broken = HiddenTable("t1", BIG, Obligations(masks=(mask,)))
    with pytest.raises(PlanningFailed) as refused:
        bound("SELECT name FROM big", [broken])
    assert "policy" in refused.value.detail
    said = str(refused.value.as_dict())
    assert "SECRET" not in said
    assert "nope" not in said
    for _ in range(2):
        assert bound("SELECT name FROM big").scans[0].columns == ("name",)
