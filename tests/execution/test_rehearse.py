"""What an engine goes through while nobody waits leaves nothing, wherever a job ends it."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from execution.engine import child
from upend import slices

from .frozen import freeze, live_lake

DATABASES = "SELECT database_name FROM duckdb_databases() WHERE NOT internal ORDER BY 1"
OPTIMIZERS = "SELECT current_setting('disabled_optimizers')"


def spec(one: slices.Slice | None = None, *, memory_bytes: int = 2**28) -> dict[str, Any]:
    """Return a job's limits and slices."""
    return {
        "slices": [] if one is None else [one],
        "search_path": [],
        "threads": 1,
        "memory_bytes": memory_bytes,
        "temp_bytes": 2**20,
        "mask_key": "",
    }


@pytest.fixture
def engine() -> Iterator[child.Engine]:
    """Return an engine as it is before it has a job, in this process."""
    with child.load() as loaded, io.BytesIO() as data:
        descriptor = os.open(os.devnull, os.O_WRONLY)
        reporter = child.Reporter(descriptor)
        with child.prepare(loaded, "") as connection:
            yield child.Engine(connection, reporter, data)
        reporter.close()


@pytest.mark.parametrize("looks", range(5))
def test_it_leaves_nothing_of_a_rehearsal(engine: child.Engine, looks: int) -> None:
    con = engine.connection
    before = con.execute(DATABASES).fetchall()
    asked = iter([False] * looks)
    engine.rehearse(lambda: next(asked, True))
    assert con.execute(DATABASES).fetchall() == before
    assert con.execute(OPTIMIZERS).fetchall() == [("",)]
    assert con.execute("SELECT count(*) FROM duckdb_logs()").fetchall() == [(0,)]


def test_it_attaches_a_slice_after_a_rehearsal(engine: child.Engine, tmp_path: Path) -> None:
    with live_lake(tmp_path) as lake:
        lake.execute("CREATE TABLE lake.t AS SELECT range AS i FROM range(10)")
        one = freeze(lake, "t")
    engine.rehearse(lambda: False)
    engine.attach(spec(one))
    con = engine.connection
    assert con.execute("SELECT sum(i) FROM lake.main.t").fetchall() == [(45,)]
    assert con.execute(OPTIMIZERS).fetchall() == [("",)]


def test_its_jobs_are_optimized_and_it_is_locked(engine: child.Engine) -> None:
    engine.attach(spec())
    con = engine.connection
    assert con.execute(OPTIMIZERS).fetchall() == [("",)]
    with pytest.raises(duckdb.InvalidInputException, match="locked"):
        con.execute("SET disabled_optimizers = 'filter_pushdown'")


def test_it_takes_the_limits_of_its_job(engine: child.Engine) -> None:
    engine.rehearse(lambda: False)
    engine.attach(spec(memory_bytes=2**27))
    found = engine.connection.execute(
        "SELECT current_setting('threads'), current_setting('memory_limit')"
    )
    assert found.fetchall() == [(1, "128.0 MiB")]
