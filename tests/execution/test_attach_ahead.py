"""An engine may have its slice before its query comes, and nobody gets more or waits for it."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import pytest

from execution.engine import services as engine
from execution.engine.domain import EngineSpec
from tests.execution.ahead import spares, waiting
from tests.execution.test_reuse_engines import TABLE, Collected, need
from tests.patience import LONG_SECONDS, until

__all__ = ["spares"]

SPEC = EngineSpec(
    sql="",
    slices=[],
    search_path=[],
    max_rows=1000,
    max_bytes=10**6,
    memory_bytes=2**29,
    threads=2,
    temp_bytes=10**8,
    cpu_seconds=60,
)
PEOPLE = [need(principal=f"person {number}") for number in range(5)]


def attach(whose: int = 0, *, granted: bool = True, spec: EngineSpec = SPEC) -> bool:
    return engine.attach_ahead(
        PEOPLE[whose], is_worth_it=lambda: True, spec=lambda: spec, is_granted=lambda: granted
    )


def run(whose: int = 0, sql: str = "SELECT 1", **needs: object) -> bool:
    """Run `sql`; tell whether its engine had the slices."""
    given: list[bool] = []

    def spec(with_slices: bool) -> EngineSpec:
        given.append(with_slices)
        return replace(SPEC, sql=sql)

    engine.run_in_session(
        replace(PEOPLE[whose], **needs),  # type: ignore[arg-type]
        spec,
        sink=Collected(),
        seconds=LONG_SECONDS,
        on_progress=lambda _: None,
        is_cancelled=lambda: False,
    )
    return given == [False]


def test_it_serves_the_query_that_it_was_meant_for_and_then_others() -> None:
    assert attach()
    [waits] = waiting()
    assert run(sql="SELECT 1")
    assert run(sql="SELECT 2")
    assert [one.engine for one in engine._sessions._waiting] == [waits]
    assert engine.attached_ahead() == 0


def test_it_serves_nobody_else_and_nothing_more() -> None:
    assert attach()
    assert not run(1)
    assert not run(workspace="another")
    assert not run(memory_bytes=2**30)
    assert not run(tables=need(TABLE).tables)
    assert len(waiting()) == 1


def test_it_gives_one_principal_one() -> None:
    assert attach()
    assert not attach()
    assert len(waiting()) == 1


def test_it_gives_all_of_them_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "SPARES", 5)
    engine.keep_spare()
    assert [attach(whose) for whose in range(4)] == [True, True, False, False]


def test_it_leaves_an_engine_to_who_comes_next() -> None:
    assert attach(0)
    assert not attach(1)
    assert len(engine._spare) == 1


def test_it_gives_none_where_one_is_kept_that_will_do() -> None:
    assert not run()
    engine.keep_spare()
    assert not attach()


def test_it_ends_without_a_query_and_its_principal_gets_no_other_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("execution.engine.sessions.AHEAD_SECONDS", 0)
    monkeypatch.setattr(engine, "AHEAD_SECONDS", 0)
    assert attach()
    until(lambda: len(engine._spare) == 2 and not waiting(), "it was not replaced")
    assert not attach()
    assert attach(1)
    until(lambda: len(engine._spare) == 2 and not waiting(), "it was not replaced")
    monkeypatch.setattr("execution.engine.sessions.LAPSE_SECONDS", 0)
    assert attach()


def test_it_is_dropped_where_the_query_is_quicker() -> None:
    served = []

    def spec() -> EngineSpec:
        served.append(run())
        return SPEC

    assert not engine.attach_ahead(
        PEOPLE[0], is_worth_it=lambda: True, spec=spec, is_granted=lambda: True
    )
    assert served == [False]
    assert waiting() == []
    assert engine.attached_ahead() == 0


@pytest.mark.parametrize("worth_it", [True, False])
def test_it_leaves_nothing_where_it_may_not(worth_it: bool) -> None:
    before = list(engine._spare)
    assert not engine.attach_ahead(
        PEOPLE[0], is_worth_it=lambda: worth_it, spec=lambda: SPEC, is_granted=lambda: False
    )
    assert waiting() == []
    assert engine.attached_ahead() == 0
    assert before[0].is_alive() is not worth_it
    assert not run()


def test_it_leaves_nothing_where_it_breaks_off() -> None:
    def spec() -> EngineSpec:
        raise LookupError

    with pytest.raises(LookupError):
        engine.attach_ahead(PEOPLE[0], is_worth_it=lambda: True, spec=spec, is_granted=bool)
    assert engine.attached_ahead() == 0
    assert attach()


def test_it_waits_for_no_engine_to_read_a_long_slice() -> None:
    long = {"format": "upend.slice/1", "files": [], "views": [], "tables": {}, "inlined": []}
    assert not attach(spec=replace(SPEC, slices=[long | {"catalog": "x" * 2**17}]))
    assert attach()


def test_it_is_not_used_where_it_died() -> None:
    assert attach()
    [waits] = waiting()
    os.kill(waits.pid, signal.SIGKILL)
    until(lambda: not waits.is_alive(), "it lives on")
    assert not run()


def test_it_is_not_used_where_its_slice_does_not_attach() -> None:
    assert attach(spec=replace(SPEC, slices=[{"format": "unheard of", "files": []}]))
    [waits] = waiting()
    until(lambda: not waits.is_alive(), "it lives on")
    assert not run()


def test_it_ends_with_its_worker() -> None:
    assert attach()
    [waits] = waiting()
    engine.discard_spare()
    assert not waits.is_alive()
