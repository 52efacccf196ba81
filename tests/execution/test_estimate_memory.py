"""The memory that a plan names is near what DuckDB then takes, and follows rows and types."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest
from duckdb_extensions import import_extension

from accounts.domain import Actor
from catalog.lake import ColumnSummary
from execution import estimate, memory, widths
from execution.bind import BinderPool, HiddenTable, bind
from execution.domain import TableEstimate
from execution.resolve import Candidate
from execution.widths import ColumnFacts, width_of
from governance.domain import Obligations, RowFilter
from tests.catalog.lakes import WrittenLake, conninfo, written_lake
from tests.execution.lakes import plan
from workspaces.models import Workspace

from .tables import table

__all__ = ["written_lake"]

MB = 10**6
Held = Callable[..., int]
ROWS = 2_000_000
BIG = table(
    "big",
    {"id": "BIGINT", "day": "DATE", "kind": "VARCHAR", "note": "VARCHAR", "price": "DECIMAL(12,2)"},
    rows=ROWS,
)
SMALL = table("small", {"id": "BIGINT", "label": "VARCHAR"}, table_id=2, rows=50)
STATISTICS = {
    1: ColumnSummary(0, 8 * ROWS, "1", str(ROWS)),
    2: ColumnSummary(0, ROWS, "2020-01-01", "2020-12-31"),
    3: ColumnSummary(0, ROWS // 4, "a", "z"),
    4: ColumnSummary(0, 20 * ROWS, "a", "z"),
    5: ColumnSummary(0, 4 * ROWS, "1.00", "99.00"),
}


@pytest.fixture(scope="module")
def binders() -> Iterator[BinderPool]:
    pool = BinderPool(size=1)
    yield pool
    pool.close()


@pytest.fixture
def held(binders: BinderPool) -> Held:
    def run(sql: str, statistics: dict[int, ColumnSummary] | None = None) -> int:
        hidden = [HiddenTable("t1", BIG), HiddenTable("t2", SMALL)]
        bound = bind(sql, hidden, [("lake", "main")], binders=binders)
        known = {1: statistics or {}, 2: {}}
        facts = {
            one.name: widths.facts_of(one, known[one.table.table_id], one.table.record_count)
            for one in hidden
        }
        return memory.held_bytes(bound.roots, facts)

    return run


SHAPES = {
    # what it runs: the least and the most megabytes that its operators may be said to hold
    "SELECT count(*) FROM big": (0, 0.1),
    "SELECT id FROM big WHERE price > 3 LIMIT 10": (0, 0.1),
    "SELECT * FROM big ORDER BY note": (250, 900),
    "SELECT id FROM big ORDER BY id": (30, 100),
    "SELECT note FROM big ORDER BY id LIMIT 10": (0, 1),
    "SELECT b.price, s.label FROM big b JOIN small s USING (id)": (0, 1),
    "SELECT a.note FROM big a JOIN big b ON a.id = b.id": (80, 250),
    "SELECT DISTINCT note FROM big": (100, 300),
    "SELECT kind, sum(price) FROM big GROUP BY kind": (0, 5),
    "SELECT day, kind, count(*) FROM big GROUP BY ALL": (0, 5),
    "SELECT kind AS k, day AS d, max(note) FROM big GROUP BY ALL ORDER BY k": (0, 5),
    "SELECT kind, list(note) FROM big GROUP BY kind": (250, 700),
    "SELECT kind, count(DISTINCT id) FROM big GROUP BY kind": (60, 300),
    "SELECT id, row_number() OVER (PARTITION BY kind ORDER BY day) FROM big": (150, 500),
    "SELECT id FROM big WHERE id IN (SELECT id FROM small)": (0, 1),
    "WITH x AS MATERIALIZED (SELECT id, day FROM big) SELECT 1 FROM x a JOIN x b USING (id)": (
        80,
        400,
    ),
    "SELECT 1 AS one": (0, 0),
}


@pytest.mark.parametrize("sql", SHAPES)
def test_it_says_about_what_operators_hold(held: Held, sql: str) -> None:
    least, most = SHAPES[sql]
    assert least * MB <= held(sql, STATISTICS) <= most * MB


def test_it_takes_groups_for_rows_where_nothing_is_known(held: Held) -> None:
    sql = "SELECT kind, sum(price) FROM big GROUP BY kind"
    assert held(sql) > 20 * held(sql, STATISTICS)


def test_it_knows_the_width_of_every_type() -> None:
    expected = {
        "BOOLEAN": 1, "INTEGER": 4, "BIGINT": 8, "HUGEINT": 16, "UUID": 16, "DECIMAL(4,2)": 2,
        "DECIMAL(9,0)": 4, "DECIMAL(18,3)": 8, "DECIMAL(38,2)": 16, "VARCHAR": 32,
        "INTEGER[]": 64, "STRUCT(a INTEGER)": 64, "MAP(VARCHAR, INTEGER)": 64, "GEOMETRY": 32,
    }  # fmt: skip
    assert {kind: width_of(kind) for kind in expected} == expected


def test_it_reads_how_many_values_there_are_from_statistics() -> None:
    facts = widths.facts_of(HiddenTable("t1", BIG), STATISTICS, ROWS).columns
    assert facts["c1"] == ColumnFacts("id", 8, ROWS + 1)
    assert facts["c2"].distinct == 367
    assert facts["c3"].distinct == 5
    assert (facts["c4"].width, facts["c4"].spelled) == (60, 20 * ROWS // 32)
    unreadable = {1: ColumnSummary(0, 9, "many", "more"), 2: ColumnSummary(None, None, "a", None)}
    odd = widths.facts_of(HiddenTable("t1", BIG), unreadable, ROWS).columns
    assert odd["c2"].distinct is None


def test_it_says_no_more_of_governed_data_than_the_engine_guesses(
    written_lake: WrittenLake, workspace: Workspace
) -> None:
    written_lake.run("CREATE TABLE t AS SELECT range AS id FROM range(100000)")
    candidate = Candidate(written_lake.catalog, written_lake.snapshot, written_lake.table())
    filtered = Obligations(row_filters=(RowFilter("id > 3", "policy"),))
    found = []
    for obligations in (Obligations(), filtered):
        pair = (candidate, HiddenTable("t1", candidate.table, obligations))
        estimated = TableEstimate("k", "t", ("id",), 1, 1, 1, 1, 100_000, (1,))
        facts = estimate._facts([pair], [estimated], with_statistics=True)
        found.append(facts["t1"].columns["c1"].distinct)
    assert found == [100_001, None]


MEASURED = {
    "sort": "SELECT * FROM trips ORDER BY note, id",
    "distinct": "SELECT DISTINCT note FROM trips",
    "join": "SELECT max(a.note || b.note) FROM trips a JOIN trips b ON a.id = b.other",
    "window": "SELECT max(r) FROM (SELECT id, note, row_number() OVER"
    " (PARTITION BY kind ORDER BY id) AS r FROM trips) WHERE length(note) > r % 9",
    "few groups": "SELECT kind, day, count(*), sum(amount) FROM trips GROUP BY ALL",
    "many groups": "SELECT other, sum(amount), min(note) FROM trips GROUP BY other",
    "lists": "SELECT max(len(l)) FROM (SELECT kind, list(note) AS l FROM trips GROUP BY kind)",
    "scan": "SELECT sum(amount) FROM trips WHERE day > '2020-03-01'",
}


def peak(lake: WrittenLake, sql: str, profile: Path) -> int:
    """Return the most that the buffers of a fresh engine took: peaks add up over a session."""
    con = duckdb.connect(config={"threads": 2})
    for name in ("ducklake", "postgres_scanner"):
        import_extension(name, con=con)
        con.load_extension(name)
    con.execute(
        f"ATTACH 'ducklake:postgres:{conninfo()}' AS lake (READ_ONLY,"
        f" META_SCHEMA '{lake.catalog.metadata_schema}', DATA_PATH '{lake.directory}/')"
    )
    con.execute("USE lake")
    con.execute("SET enable_external_file_cache = false")
    con.execute("PRAGMA enable_profiling = 'json'")
    con.execute(f"SET profiling_output = '{profile}'")
    con.execute("""SET custom_profiling_settings = '{"SYSTEM_PEAK_BUFFER_MEMORY": "true"}'""")
    for _ in con.execute(sql).to_arrow_reader(100_000):
        pass
    con.close()
    return int(json.loads(profile.read_text())["system_peak_buffer_memory"])


def test_it_is_near_what_the_engine_takes(
    written_lake: WrittenLake, workspace: Workspace, analyst: Actor, tmp_path: Path
) -> None:
    """The same for TPC-H and flights is `benchmarks/memory.py`."""
    written_lake.run(
        "CREATE TABLE trips AS SELECT i AS id, (i * 7919) % 1500000 AS other,"
        " 'k' || (i % 9) AS kind, DATE '2020-01-01' + (i % 366)::INTEGER AS day,"
        " md5(i::VARCHAR) AS note, (i % 1000 / 7)::DECIMAL(9,2) AS amount"
        " FROM range(1500000) t(i)"
    )
    found = {
        name: (
            plan(analyst, workspace, sql).estimate.memory_bytes,
            peak(written_lake, sql, tmp_path / "profile.json"),
        )
        for name, sql in MEASURED.items()
    }
    for name, (estimated, measured) in found.items():
        assert 0.45 * measured < estimated < 64 * MB + 4 * measured, (name, found)
