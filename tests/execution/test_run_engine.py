"""The process boundary holds: caps, deadlines, cancellation and deaths all end in a clear word."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import psutil
import pyarrow as pa
import pytest

from execution.engine import reach, start
from execution.engine import services as engine
from execution.engine.domain import EngineSpec, Outcome, Progress
from execution.engine.problems import (
    EngineDied,
    QueryCancelled,
    QueryFailed,
    QueryOutOfMemory,
    QueryTimeout,
)
from execution.engine.process import Engine
from tests.patience import LONG_SECONDS, runs, slowness, until, until_ended

SPEC = EngineSpec(
    sql="SELECT 1 AS one",
    slices=[],
    search_path=[],
    max_rows=1_000_000,
    max_bytes=10**9,
    memory_bytes=2**29,
    threads=2,
    temp_bytes=10**8,
    cpu_seconds=60,
)
ENDLESS = "SELECT count(*) FROM range(1000000000000)"


class Collected:
    """A sink that keeps everything."""

    def __init__(self) -> None:
        self.schema: pa.Schema | None = None
        self.batches: list[pa.RecordBatch] = []

    def open(self, schema: pa.Schema) -> None:
        self.schema = schema

    def write(self, batch: pa.RecordBatch) -> None:
        self.batches.append(batch)

    @property
    def table(self) -> pa.Table:
        assert self.schema is not None
        return pa.Table.from_batches(self.batches, self.schema)


def run(
    sql: str,
    *,
    sink: Any = None,
    seconds: float = LONG_SECONDS,
    on_progress: Callable[[Progress], None] = lambda _: None,
    is_cancelled: Callable[[], bool] = lambda: False,
    **limits: Any,
) -> Outcome:
    return engine.run_engine(
        replace(SPEC, sql=sql, **limits),
        sink=sink or Collected(),
        seconds=seconds,
        on_progress=on_progress,
        is_cancelled=is_cancelled,
    )


def children() -> set[int]:
    """Return what runs below this process: engines are forked by a server that stays."""
    engine.warm()
    return {p.pid for p in psutil.Process().children(recursive=True) if runs(p.pid)}


def test_it_returns_rows_types_and_names_as_the_engine_spells_them() -> None:
    sink = Collected()
    outcome = run("SELECT 1 AS one, 1.50::DECIMAL(9,2) AS one, 'x' AS \"a b\"", sink=sink)
    assert outcome.columns == (("one", "INTEGER"), ("one", "DECIMAL(9,2)"), ("a b", "VARCHAR"))
    assert (outcome.rows, outcome.truncated, outcome.bytes_read) == (1, False, 0)
    assert sink.table.column_names == ["one", "one", "a b"]


def test_it_opens_the_sink_even_when_there_are_no_rows() -> None:
    sink = Collected()
    assert run("SELECT 1 AS one WHERE false", sink=sink).rows == 0
    assert sink.table.schema == pa.schema([("one", pa.int32())])


def test_it_sends_types_without_an_exact_arrow_form_as_text() -> None:
    sink = Collected()
    run(
        "SELECT '340282366920938463463374607431768211455'::UHUGEINT AS u,"
        " '12:00:00+01'::TIMETZ AS t, ['101'::BIT] AS b, 'a'::ENUM('a', 'b') AS e,"
        " '170141183460469231731687303715884105727'::HUGEINT AS h",
        sink=sink,
    )
    row = sink.table.to_pylist()[0]
    assert row["u"] == "340282366920938463463374607431768211455"
    assert (row["t"], row["b"], row["e"]) == ("12:00:00+01", "[101]", "a")
    assert int(row["h"]) == 2**127 - 1


def test_it_keeps_the_order_of_rows_when_columns_travel_as_text() -> None:
    sink = Collected()
    run("SELECT i::UHUGEINT AS i FROM range(50000) t(i) ORDER BY i DESC", sink=sink)
    assert sink.table["i"].to_pylist() == [str(i) for i in range(49999, -1, -1)]


def test_it_stops_at_exactly_the_last_row_allowed() -> None:
    sink = Collected()
    outcome = run("SELECT range AS i FROM range(1000000)", sink=sink, max_rows=100_001)
    assert (outcome.rows, outcome.truncated, sink.table.num_rows) == (100_001, True, 100_001)
    assert not run("SELECT range AS i FROM range(10)", max_rows=10).truncated


def test_it_stops_before_the_first_byte_too_many() -> None:
    outcome = run("SELECT range AS i FROM range(1000000)", max_bytes=100_000)
    assert outcome.truncated
    assert 90_000 < outcome.bytes <= 100_000


def test_it_ends_a_run_at_its_deadline() -> None:
    started = time.monotonic()
    with pytest.raises(QueryTimeout):
        run(ENDLESS, seconds=1)
    assert time.monotonic() - started < 60  # a bound that holds beside other work


def test_it_ends_a_run_that_ignores_interrupts_when_its_processor_time_is_used_up() -> None:
    with pytest.raises(QueryTimeout, match="processor time"):
        run("SELECT levenshtein(repeat('a', 900000), repeat('b', 900000))", cpu_seconds=1)


def test_it_stops_within_two_seconds_of_a_wish_to_cancel() -> None:
    wished_at: list[float] = []

    def is_cancelled() -> bool:
        return bool(wished_at) and time.monotonic() > wished_at[0]

    def wish(_: Progress) -> None:  # a while after the engine has begun
        if not wished_at:
            wished_at.append(time.monotonic() + 1)

    with pytest.raises(QueryCancelled):
        run(ENDLESS, on_progress=wish, is_cancelled=is_cancelled)
    took = time.monotonic() - wished_at[0]
    assert took < 2 * slowness()


def test_it_reports_progress_while_itruns() -> None:
    seen: list[Progress] = []
    with pytest.raises(QueryCancelled):
        run(ENDLESS, on_progress=seen.append, is_cancelled=lambda: len(seen) > 2)
    assert all(0 <= p.percent <= 100 for p in seen)


def test_it_says_that_memory_ran_out() -> None:
    with pytest.raises(QueryOutOfMemory) as caught:
        run("SELECT string_agg(repeat('x', 100000), '') FROM range(10000)", memory_bytes=2**28)
    assert "256 MiB" in caught.value.detail


def test_it_says_that_the_process_crashed_and_survives_it() -> None:
    with pytest.raises(EngineDied, match="SIGSEGV"):
        run("SELECT json_structure(repeat('[', 200000) || '1' || repeat(']', 200000))")
    assert run("SELECT 1").rows == 1


def test_it_says_that_the_process_was_killed() -> None:
    process = Engine()

    def kill(_: Progress) -> None:
        with contextlib.suppress(ProcessLookupError):  # one look more, and it is gone
            os.kill(process.pid, signal.SIGKILL)

    with pytest.raises(QueryOutOfMemory, match="operating system"):
        process.run(
            replace(SPEC, sql=ENDLESS),
            sink=Collected(),
            seconds=LONG_SECONDS,
            on_progress=kill,
            is_cancelled=lambda: False,
        )


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("SELECT 'tom@example.org'::INTEGER", "conversion"),
        ("SELECT 1::TINYINT + 127::TINYINT", "out-of-range"),
        ("SELECT no_such_column", "binding"),
    ],
)
def test_it_never_repeats_the_engines_words(sql: str, reason: str) -> None:
    with pytest.raises(QueryFailed) as caught:
        run(sql)
    assert caught.value.extra["reason"] == reason
    assert "tom" not in str(caught.value.as_dict())


def test_it_gives_the_engine_an_empty_environment_and_no_files() -> None:
    for sql in ("SELECT getenv('HOME')", "SELECT * FROM read_text('/etc/passwd')"):
        with pytest.raises(QueryFailed):
            run(sql)


def test_it_leaves_no_process_behind_whatever_happened() -> None:
    before = children()
    for sql in ("SELECT 1", "SELECT 'a'::INTEGER", ENDLESS):
        with contextlib.suppress(QueryFailed, QueryTimeout):
            run(sql, seconds=1)
    until(lambda: children() <= before, "a process is left")


def test_it_ends_the_run_when_the_sink_fails() -> None:
    class Full(Collected):
        def write(self, batch: pa.RecordBatch) -> None:  # noqa: ARG002
            raise OSError("the bucket is full")

    with pytest.raises(OSError, match="bucket is full"):
        run("SELECT range FROM range(100000000)", sink=Full())


def test_it_uses_the_spare_and_never_twice() -> None:
    engine.keep_spare()
    spare, other = engine.take(), engine.take()
    assert spare.is_alive()
    assert spare is not other
    for process in (spare, other):
        process.close()
        assert not process.is_alive()


def test_it_has_spares_again_a_moment_after_a_run() -> None:
    engine.discard_spare()
    engine.keep_spare_soon()
    until(lambda: len(engine._spare) == engine.SPARES, "nobody started them")
    engine.discard_spare()


def test_it_dies_with_its_parent() -> None:
    """A worker that is killed leaves no engine: the kernel ends it (PR_SET_PDEATHSIG)."""
    read, write = os.pipe()
    parent = os.fork()
    if parent == 0:
        child = Engine()
        os.write(write, str(child.pid).encode())
        time.sleep(60)
        os._exit(0)
    engine_pid = int(os.read(read, 20))
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    until_ended(engine_pid)


def test_it_does_further_jobs_on_the_slice_of_the_first() -> None:
    process = Engine()
    try:
        for number in range(3):
            sink = Collected()
            outcome = job(process, f"SELECT {number} AS n FROM range(10000)", sink)
            assert (outcome.rows, sink.table["n"][0].as_py()) == (10_000, number)
        assert process.is_alive()
    finally:
        process.close()


def test_it_is_gone_after_a_job_that_failed() -> None:
    process = Engine()
    with pytest.raises(QueryFailed):
        job(process, "SELECT 'a'::INTEGER", Collected())
    assert not process.is_alive()


def test_it_gives_no_two_engines_the_same_random_numbers() -> None:
    def uuids() -> str:
        sink = Collected()
        run("SELECT uuid()::VARCHAR AS u, random() AS r", sink=sink)
        return str(sink.table.to_pylist())

    assert len({uuids() for _ in range(3)}) == 3


def test_it_survives_the_death_of_its_fork_server() -> None:
    engine.keep_spare()
    spare = engine.take()
    server = psutil.Process(spare.pid).parent()
    assert server is not None
    os.kill(server.pid, signal.SIGKILL)
    with pytest.raises(QueryOutOfMemory, match="operating system"):
        job(spare, ENDLESS, Collected())
    assert run("SELECT 1").rows == 1


def test_it_passes_over_spares_that_lost_their_way_to_the_store() -> None:
    engine.keep_spare()
    relay = reach.egress().pid
    assert relay is not None
    os.kill(relay, signal.SIGKILL)
    until_ended(relay)
    wait_until_lost(engine._spare)
    process = engine.take()
    try:
        assert process.is_alive()
        assert reach.egress().pid != relay
    finally:
        process.close()


def wait_until_lost(engines: list[Engine]) -> None:
    """The kernel closes what a dead process had not taken from its socket yet a moment later."""
    until(lambda: not any(one.is_alive() for one in engines), "a spare keeps its way")


def test_it_runs_the_same_where_processes_cannot_be_forked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(start, "CAN_FORK", False)
    process = Engine()
    try:
        assert job(process, "SELECT 1 AS one", Collected()).columns == (("one", "INTEGER"),)
        assert job(process, "SELECT 2 AS two", Collected()).columns == (("two", "INTEGER"),)
    finally:
        process.close()
    assert not process.is_alive()


def job(process: Engine, sql: str, sink: Collected, *, is_heavy: bool = False) -> Outcome:
    return process.run(
        replace(SPEC, sql=sql, is_heavy=is_heavy),
        sink=sink,
        seconds=LONG_SECONDS,
        on_progress=lambda _: None,
        is_cancelled=lambda: False,
    )
