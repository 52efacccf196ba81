"""What was planned before a lake's upkeep answers the same after it, at every snapshot."""

from __future__ import annotations

import pytest

from accounts.domain import Actor
from catalog import lake
from catalog.lake import slicing
from execution import planning
from execution.domain import Plan
from tests.catalog.lakes import WrittenLake, written_lake
from tests.execution.lakes import locked, plan
from workspaces.models import Workspace

__all__ = ["written_lake"]

QUERIES = (
    "SELECT count(*) FROM t",
    "SELECT count(*), sum(i) FROM t WHERE i BETWEEN 150 AND 1000",
    "SELECT i, s FROM t WHERE i >= 1000 ORDER BY ALL",
)
UPKEEP = (
    "CALL ducklake_flush_inlined_data('lake')",
    "CALL ducklake_merge_adjacent_files('lake')",
    "DELETE FROM t WHERE i % 3 = 0",
    "DELETE FROM t WHERE i % 3 = 1",
    "CALL ducklake_rewrite_data_files('lake', 't', delete_threshold => 0.1)",
    "CALL ducklake_merge_adjacent_files('lake')",
)


@pytest.fixture
def history(written_lake: WrittenLake) -> list[int]:
    """Write files, inlined rows and deletes of both; return the snapshots that have the table."""
    written_lake.run("CREATE TABLE t (i INTEGER, s VARCHAR)")
    for k in range(4):
        written_lake.run(f"INSERT INTO t SELECT {k} * 100 + range, 'x' || range FROM range(100)")
    written_lake.run(
        "INSERT INTO t VALUES (1000, 'a'), (1001, 'b')",
        "INSERT INTO t VALUES (1002, 'c')",
        "DELETE FROM t WHERE i = 1000",
        "DELETE FROM t WHERE i = 205",
    )
    newest = written_lake.snapshot.snapshot_id
    return [newest - 7, newest - 3, newest]


def test_it_answers_from_files_that_were_rewritten_since_it_was_planned(
    history: list[int], written_lake: WrittenLake, workspace: Workspace, analyst: Actor
) -> None:
    plans: list[tuple[int, str, Plan]] = [
        (at, sql, plan(analyst, workspace, sql, snapshots={"lake": at}))
        for at in history
        for sql in QUERIES
    ]
    assert any(entry["data_file_ids"] for *_, p in plans for entry in records(p))
    expected = {(at, sql): live(written_lake, sql, at) for at, sql, _ in plans}
    for statement in UPKEEP:
        written_lake.run(statement)
        for at, sql, planned in plans[::5]:
            with locked(planned, written_lake) as con:
                assert con.execute(sql).fetchall() == expected[at, sql], (statement, at, sql)
    for at, sql, planned in plans:
        with locked(planned, written_lake) as con:
            assert con.execute(sql).fetchall() == expected[at, sql], (at, sql)


def test_it_reads_again_when_files_are_merged_between_two_reads(
    history: list[int], written_lake: WrittenLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = slicing._inlined
    merged: list[object] = []

    def merging(*given: object) -> object:
        if not merged:
            merged.append(written_lake.run("CALL ducklake_flush_inlined_data('lake')"))
        return read(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(slicing, "_inlined", merging)
    newest = written_lake.snapshot
    table = written_lake.table()
    rows = lake.slice_rows(written_lake.catalog, newest, [lake.Selection(table)])
    files = sum(row[8] for row in rows.tables["ducklake_data_file"].rows)
    assert (files, len(rows.inlined[0].rows)) == (403, 0)


def test_it_keeps_the_state_of_a_table_whose_files_were_merged(
    history: list[int], written_lake: WrittenLake
) -> None:
    at = written_lake.snapshot.snapshot_id
    table_id = written_lake.table().table_id
    before = lake.unchanged_since(written_lake.catalog, [table_id], at)
    written_lake.run("CALL ducklake_merge_adjacent_files('lake')")
    now = written_lake.snapshot.snapshot_id
    assert now > at
    assert lake.unchanged_since(written_lake.catalog, [table_id], now) == before


def records(planned: Plan) -> list[dict[str, object]]:
    found: list[dict[str, object]] = planning.execution_record(planned)["tables"]
    return found


def live(written: WrittenLake, sql: str, at: int) -> list[object]:
    return written.run(sql.replace("FROM t", f"FROM lake.main.t AT (VERSION => {at})"))
