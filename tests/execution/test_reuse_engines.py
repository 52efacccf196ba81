"""An engine that holds a slice serves the next query of the same rights, and no other."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from execution.engine import services as engine
from execution.engine.domain import EngineSpec
from execution.engine.needs import Need
from execution.engine.problems import QueryFailed
from execution.engine.sessions import Session
from tests.patience import LONG_SECONDS, until

TABLE: dict[str, Any] = {
    "catalog_id": "c1",
    "table_uuid": "u1",
    "snapshot_id": 7,
    "columns": ["a", "b"],
    "data_file_ids": None,
    "view": {"schema": "main", "name": "sales", "table": "t1", "columns": [["a", None]]},
}
OTHER = TABLE | {"table_uuid": "u2", "view": TABLE["view"] | {"name": "orders", "table": "t2"}}


def need(*tables: dict[str, Any], principal: str = "ana", path: str = "lake") -> Need:
    record = {"search_path": [[path, "main"]], "tables": list(tables)}
    return Need.of(record, principal=principal, workspace="w", memory_bytes=2**29)


@pytest.mark.parametrize(
    "narrower",
    [
        need(TABLE),
        need(TABLE | {"columns": ["a"]}),
        need(TABLE | {"data_file_ids": [1, 2]}),
        need(TABLE | {"view": TABLE["view"] | {"table": "t9"}}),
        need(),
    ],
)
def test_it_covers_the_same_and_less(narrower: Need) -> None:
    assert need(TABLE).covers(narrower)
    assert need(TABLE, OTHER).covers(narrower)


@pytest.mark.parametrize(
    "other",
    [
        need(TABLE, principal="ben"),
        need(TABLE, path="lake2"),
        need(TABLE | {"snapshot_id": 8}),
        need(TABLE | {"columns": ["a", "c"]}),
        need(OTHER),
        need(TABLE, OTHER),
        need(TABLE | {"view": TABLE["view"] | {"row_filter": "a > 1"}}),
        need(TABLE | {"view": TABLE["view"] | {"columns": [["a", "NULL"]]}}),
        replace(need(TABLE), workspace="w2"),
        replace(need(TABLE), memory_bytes=2**30),
    ],
)
def test_it_covers_no_other_principal_right_snapshot_column_or_memory(other: Need) -> None:
    assert not need(TABLE).covers(other)


def test_it_covers_files_only_where_it_holds_them() -> None:
    some = need(TABLE | {"data_file_ids": [1, 2, 3]})
    assert some.covers(need(TABLE | {"data_file_ids": [2]}))
    assert not some.covers(need(TABLE | {"data_file_ids": [4]}))
    assert not some.covers(need(TABLE))


def test_it_covers_nothing_where_a_table_of_the_same_name_could_be_meant() -> None:
    """A bare name might be found in the wider slice where the narrower one has another table."""
    namesake = OTHER | {"view": OTHER["view"] | {"schema": "old", "name": "SALES"}}
    assert not need(TABLE, namesake).covers(need(TABLE))


class Collected:
    def __init__(self) -> None:
        self.batches: list[pa.RecordBatch] = []

    def open(self, schema: pa.Schema) -> None:
        pass

    def write(self, batch: pa.RecordBatch) -> None:
        self.batches.append(batch)


@pytest.fixture(autouse=True)
def no_sessions() -> Iterator[None]:
    engine.discard_spare()
    yield
    engine.discard_spare()


def run(sql: str, *, principal: str = "ana") -> bool:
    """Run `sql`; tell whether its engine was there already."""
    given: list[bool] = []

    def spec(with_slices: bool) -> EngineSpec:
        given.append(with_slices)
        return EngineSpec(
            sql=sql,
            slices=[],
            search_path=[],
            max_rows=1000,
            max_bytes=10**6,
            memory_bytes=2**29,
            threads=2,
            temp_bytes=10**8,
            cpu_seconds=60,
        )

    engine.run_in_session(
        need(principal=principal),
        spec,
        sink=Collected(),
        seconds=LONG_SECONDS,
        on_progress=lambda _: None,
        is_cancelled=lambda: False,
    )
    return given == [False]


def await_end(session: Session) -> None:
    """Wait until the engine of a session is gone."""
    until(lambda: not session.engine.is_alive(), "nobody ended it")


def test_it_reuses_the_engine_of_the_same_principal_only() -> None:
    assert not run("SELECT 1")
    assert run("SELECT 2")
    assert not run("SELECT 3", principal="ben")
    assert run("SELECT 4")


def test_it_does_not_reuse_an_engine_whose_last_query_failed() -> None:
    assert not run("SELECT 1")
    with pytest.raises(QueryFailed):
        run("SELECT 'x'::INTEGER")
    assert not run("SELECT 1")


def test_it_takes_a_new_engine_where_the_kept_one_died_as_it_waited() -> None:
    assert not run("SELECT 1")
    [session] = engine._sessions._waiting
    os.kill(session.engine.pid, signal.SIGKILL)
    await_end(session)
    assert not run("SELECT 2")


def test_it_ends_what_waited_for_long_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not run("SELECT 1")
    [session] = engine._sessions._waiting
    monkeypatch.setattr("execution.engine.sessions.IDLE_SECONDS", 0)
    assert not run("SELECT 2")
    await_end(session)


def test_it_ends_the_last_one_by_itself_when_no_query_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept: list[Session] = []
    keep = engine._sessions.keep

    def keep_and_tell(session: Session) -> None:
        kept.append(session)
        keep(session)

    monkeypatch.setattr(engine._sessions, "keep", keep_and_tell)
    monkeypatch.setattr("execution.engine.sessions.IDLE_SECONDS", 0)
    assert not run("SELECT 1")
    await_end(kept[0])
    assert engine._sessions._waiting == []
