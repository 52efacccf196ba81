"""Who asks much has the processors after the others, and is not forgotten."""

from __future__ import annotations

import os
import time
from dataclasses import replace

import psutil
import pytest

from execution.engine import process as process_module
from execution.engine.domain import Progress
from execution.engine.problems import QueryTimeout
from execution.engine.process import BEHIND, FAR_BEHIND, SHORT_SECONDS, Engine
from tests.execution.test_run_engine import ENDLESS, SPEC, Collected
from tests.patience import LONG_SECONDS


def test_it_lets_others_have_the_processors_first_when_it_takes_long() -> None:
    process = Engine()
    usual, soon, later = psutil.Process().nice(), set[int](), list[int]()
    began = time.monotonic()

    def look(_: Progress) -> None:
        nice = psutil.Process(process.pid).nice()
        if time.monotonic() - began < SHORT_SECONDS:
            soon.add(nice)
        later.append(nice)

    with pytest.raises(QueryTimeout):
        process.run(
            replace(SPEC, sql=ENDLESS),
            sink=Collected(),
            seconds=2.5,
            on_progress=look,
            is_cancelled=lambda: False,
        )
    assert soon <= {usual}
    assert later[-1] == max(usual, BEHIND)


def test_it_lets_others_have_the_processors_first_where_a_job_is_known_to_be_heavy() -> None:
    process = Engine()
    try:
        process.run(
            replace(SPEC, is_heavy=True),
            sink=Collected(),
            seconds=LONG_SECONDS,
            on_progress=lambda _: None,
            is_cancelled=lambda: False,
        )
        assert psutil.Process(process.pid).nice() == FAR_BEHIND
        assert process.is_behind
        assert policies(process) == {os.SCHED_IDLE if os.geteuid() == 0 else os.SCHED_OTHER}
        assert process.catch_up() == (os.geteuid() == 0)
        assert policies(process) == {os.SCHED_OTHER}
    finally:
        process.close()


def test_it_gives_a_heavy_job_a_share_again_that_had_only_what_others_left_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process_module, "LEFTOVER_SECONDS", 1.0)
    process = Engine()
    began = time.monotonic()
    soon: set[int] = set()
    later: list[set[int]] = []

    def look(_progress: Progress) -> None:
        found = policies(process)
        soon.update(found if time.monotonic() - began < 0.5 else ())
        later.append(found)

    with pytest.raises(QueryTimeout):
        process.run(
            replace(SPEC, sql=ENDLESS, is_heavy=True),
            sink=Collected(),
            seconds=2.5,
            on_progress=look,
            is_cancelled=lambda: False,
        )
    assert soon <= {os.SCHED_IDLE if os.geteuid() == 0 else os.SCHED_OTHER}
    assert later[-1] == {os.SCHED_OTHER}


def policies(process: Engine) -> set[int]:
    """Return by which rules the threads of an engine are scheduled."""
    threads = psutil.Process(process.pid).threads()
    return {os.sched_getscheduler(thread.id) for thread in threads}
