"""Pruning never loses a row that matches, and leaves out what it can."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog import lake
from catalog.domain import ColumnFilter
from tests.catalog.lakes import WrittenLake

VALUES = {
    "INTEGER": ["-5", "0", "9", "10", "100", "2147483647"],
    "UBIGINT": ["0", "7", "18446744073709551615"],
    "HUGEINT": ["-1000000000000000000000", "0", "12"],  # Parquet has them as DOUBLE
    "DECIMAL(12,2)": ["-1.10", "0.00", "9.99", "10.00", "1000000000.01"],
    "DOUBLE": ["-inf", "-1e300", "-0.0", "0.1", "9", "1e300", "inf", "nan"],
    "FLOAT": ["-inf", "0.1", "0.25", "16777217", "3e38", "nan"],
    "VARCHAR": ["", "A", "a", "aa", "é", "zz", "🦆", "NULL", "10", "9"],
    "DATE": [
        "0044-03-15 (BC)",
        "0001-01-01",
        "1999-12-31",
        "2020-02-29",
        "10000-01-01",
        "infinity",
    ],
    "TIMESTAMP": ["2020-01-01", "2020-01-01 00:00:00.1", "2020-01-01 00:00:00.12", "12000-01-01"],
    "TIMESTAMP_NS": ["2020-01-01 00:00:00.123456789", "2020-01-01 00:00:00.1234567"],
    "TIMESTAMPTZ": ["2020-01-01 00:00:00+02", "2019-12-31 22:00:00.5+00", "2020-06-01 00:00:00+00"],
    "TIME": ["00:00:00", "12:00:00.5", "12:00:00.25", "24:00:00"],
    "BOOLEAN": ["true", "false"],
    "UUID": ["00000000-0000-0000-0000-000000000001", "f0000000-0000-0000-0000-000000000000"],
    "BLOB": ["a", "\\x00", "\\xFF"],
    "INTERVAL": ["1 month", "31 days"],
}
COLUMNS = {f"c{at}": kind for at, kind in enumerate(VALUES)}
FILES, ROWS = 12, 40
OPERATORS = ("=", "<", "<=", ">", ">=", "in", "is_null", "is_not_null")


@dataclass
class Varied:
    lake: WrittenLake

    def matching(self, condition: str) -> set[int]:
        """Return the files that hold a matching row, as DuckDB finds them."""
        rows = self.lake.run(f"SELECT DISTINCT file FROM t WHERE {condition}")
        return {row[0] for row in rows}

    def spelled(self, value: str, kind: str) -> str:
        return str(self.lake.run(f"SELECT CAST(CAST('{value}' AS {kind}) AS VARCHAR)")[0][0])

    def kept(self, *filters: ColumnFilter) -> set[int]:
        table = self.lake.table()
        snapshot_id = self.lake.snapshot.snapshot_id
        return set(
            lake.prune(self.lake.catalog, table, snapshot_id, ["file"], filters).data_file_ids
        )


@pytest.fixture
def varied(written_lake: WrittenLake) -> Varied:
    """Write files that hold few values each, some of them nothing but NULL."""
    written_lake.run("CALL lake.set_option('data_inlining_row_limit', 0)", "SET TimeZone = 'UTC'")
    definition = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
    written_lake.run(f"CREATE TABLE t (file INTEGER, {definition})")
    for file in range(FILES):
        cells = ", ".join(_cell(kind, file) for kind in COLUMNS.values())
        written_lake.run(f"INSERT INTO t SELECT {file}, {cells} FROM range({ROWS}) r(i)")
    written_lake.run(
        "ALTER TABLE t ALTER c0 TYPE BIGINT",
        "ALTER TABLE t ALTER c5 TYPE DOUBLE",
        "ALTER TABLE t ADD COLUMN added INTEGER DEFAULT 7",
        f"INSERT INTO t (file, c0, c5, added) SELECT {FILES}, i, 0.1, NULL FROM range(50) r(i)",
    )
    return Varied(written_lake)


def _cell(kind: str, file: int) -> str:
    """Return an expression that takes two of the type's values, or none, in one file."""
    values = VALUES[kind]
    if file % 6 == 5:
        return f"NULL::{kind}"
    one, two = values[file % len(values)], values[(file * 7 + 1) % len(values)]
    null = "WHEN i % 3 = 1 THEN NULL" if file % 2 else ""
    return f"CASE {null} WHEN i % 2 = 0 THEN '{one}'::{kind} ELSE '{two}'::{kind} END"


filters = st.tuples(
    st.sampled_from([*COLUMNS, "added"]), st.sampled_from(OPERATORS), st.integers(0, 2**16)
)


@settings(
    max_examples=300,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(drawn=st.lists(filters, min_size=1, max_size=3))
def test_it_never_loses_a_file_with_a_matching_row(
    varied: Varied, drawn: list[tuple[str, str, int]]
) -> None:
    conditions, asked = [], []
    for column, operator, seed in drawn:
        kind = COLUMNS.get(column, "INTEGER")
        kind = {"c0": "BIGINT", "c5": "DOUBLE"}.get(column, kind)
        known = VALUES.get(COLUMNS.get(column, "INTEGER"), [])
        count = {"is_null": 0, "is_not_null": 0, "in": 2}.get(operator, 1)
        chosen = [known[(seed + at * 5) % len(known)] for at in range(count)]
        spelled = tuple(varied.spelled(value, kind) for value in chosen)
        asked.append(ColumnFilter(column, operator, spelled))
        constants = ", ".join(f"'{value}'::{kind}" for value in chosen)
        conditions.append(
            {
                "is_null": f"{column} IS NULL",
                "is_not_null": f"{column} IS NOT NULL",
                "in": f"{column} IN ({constants})",
            }.get(operator, f"{column} {operator} {constants}")
        )
    assert varied.matching(" AND ".join(conditions)) <= varied.kept(*asked)


def test_it_leaves_out_what_cannot_match(written_lake: WrittenLake) -> None:
    written_lake.run("CREATE TABLE t (i INTEGER, d DATE, s VARCHAR, p DECIMAL(9,2), f DOUBLE)")
    for file in range(10):
        written_lake.run(
            f"INSERT INTO t SELECT {file} * 100 + i, DATE '2020-01-01' + {file} * 100 + i::INTEGER,"
            f" 's{file}' || i, {file} + i / 1000, {file} + i / 1000 FROM range(100) r(i)"
        )
    cases = [
        (("i", "=", ("250",)), {2}),
        (("i", ">=", ("900",)), {9}),
        (("i", ">", ("899",)), {9}),
        (("i", "in", ("1", "999")), {0, 9}),
        (("d", "<", ("2020-01-05",)), {0}),
        (("s", "=", ("s4x",)), {4} - {4}),
        (("s", "=", ("s47",)), {4}),
        (("p", "=", ("3.01",)), {3}),
        (("f", "<=", ("0.05",)), {0}),
        (("i", "is_null", ()), set()),
        (("unknown", "=", ("1",)), set(range(10))),
        (("i", "~", ("1",)), set(range(10))),
        (("i", "=", ("one",)), set(range(10))),
    ]
    varied = Varied(written_lake)
    found = {case: varied.kept(ColumnFilter(*case)) for case, _ in cases}
    assert found == dict(cases)


def test_it_weighs_exactly_the_columns_that_are_read(written_lake: WrittenLake) -> None:
    written_lake.run(
        "CREATE TABLE t (i INTEGER, st STRUCT(a INTEGER, b VARCHAR[]), iv INTERVAL)",
        "INSERT INTO t SELECT i, {'a': i, 'b': ['x' || i]}, to_days(i::INTEGER)"
        " FROM range(5000) r(i)",
        "INSERT INTO t VALUES (1, NULL, NULL), (2, NULL, NULL)",
    )
    path = next(written_lake.directory.rglob("*.parquet"))
    sizes = dict(
        written_lake.run(
            "SELECT split_part(path_in_schema, ',', 1), sum(total_compressed_size)::BIGINT"
            f" FROM parquet_metadata('{path}') GROUP BY 1"
        )
    )
    [(footer,)] = written_lake.run(f"SELECT footer_size FROM parquet_file_metadata('{path}')")
    table, catalog = written_lake.table(), written_lake.catalog
    at = written_lake.snapshot.snapshot_id
    for column in ("i", "st"):
        found = lake.prune(catalog, table, at, [column], [])
        assert abs(found.scan_bytes - sizes[column] - footer) <= 64, column
        assert found.rows == 5002
    unmeasured = lake.prune(catalog, table, at, ["iv"], [])  # no statistics: never too little
    assert sizes["iv"] + footer <= unmeasured.scan_bytes < path.stat().st_size
    assert lake.prune(catalog, table, at, [], []).scan_bytes == 0
    everything = lake.prune(catalog, table, at, ["i", "st", "iv"], [])
    assert everything.total_bytes == path.stat().st_size
    assert everything.scan_bytes <= everything.total_bytes


def test_it_counts_delete_files_with_the_files_that_survive(written_lake: WrittenLake) -> None:
    written_lake.run(
        "CALL lake.set_option('data_inlining_row_limit', 0)",
        "CREATE TABLE t (i INTEGER)",
        "INSERT INTO t SELECT i FROM range(0, 1000) r(i)",
        "INSERT INTO t SELECT i FROM range(1000, 2000) r(i)",
    )
    before = written_lake.snapshot.snapshot_id
    written_lake.run("DELETE FROM t WHERE i % 10 = 0 AND i < 1000")
    at = written_lake.snapshot.snapshot_id
    catalog, low = written_lake.catalog, [ColumnFilter("i", "<", ("1000",))]
    old = lake.prune(catalog, written_lake.table(at=before), before, ["i"], low)
    new = lake.prune(catalog, written_lake.table(), at, ["i"], low)
    assert (old.rows, new.rows) == (1000, 900)
    assert new.scan_bytes > old.scan_bytes
