"""A verified manifest runs on this machine: real files, bearer, redirect, bucket and engine."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.client.file_server import Files, serving
from tests.client.signing import Claims, claims
from tests.execution.frozen import freeze, live_lake
from tests.patience import slowness
from upend import local, slices
from upend.errors import QueryCancelled, QueryFailed, Unreachable
from upend.manifest import Manifest

COUNT = "SELECT count(*), sum(delay) FROM flights WHERE day >= '2020-01-03'"
SLOW = "SELECT sum(a.range * b.range) FROM range(10000000) a, range(100000) b, airports"
STUBBORN = "SELECT levenshtein(repeat('a', 60000), repeat('b', 60000)) AS far"
"""Takes a few seconds and does not look whether it was interrupted."""


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> tuple[slices.Slice, list[Path], object]:
    con = live_lake(tmp_path_factory.mktemp("lake"))
    con.execute("CREATE TABLE lake.flights AS SELECT 1 AS id, DATE '2020-01-01' AS day, 1 AS delay")
    con.execute("DELETE FROM lake.flights")
    for day in range(4):
        con.execute(
            f"INSERT INTO lake.flights SELECT range, DATE '2020-01-01' + {day}, range % 97 "
            "FROM range(50000)"
        )
    con.execute("DELETE FROM lake.flights WHERE id = 7")
    con.execute("CREATE TABLE lake.airports (code VARCHAR, elevation DECIMAL(9,2))")
    con.execute("INSERT INTO lake.airports VALUES ('ZRH', 432.10), ('JFK', NULL)")
    frozen = freeze(con, "flights", "airports")
    expected = con.execute(COUNT.replace("flights", "lake.flights")).fetchall()
    return frozen, [Path(path) for path in slices.paths([frozen])], expected


@pytest.fixture
def files(lake: tuple[slices.Slice, list[Path], object]) -> Generator[Files]:
    with serving(Files(lake[1])) as served:
        yield served


def manifest(lake: slices.Slice, files: Files, **limits: int) -> Manifest:
    """Return the manifest a server would have issued for the lake; its checks have tests apart."""
    body: Claims = claims(base_url=files.base_url)
    named = [file | {"path": f"{files.base_url}{file['ordinal']}"} for file in lake["files"]]
    body["upend"]["slices"] = [lake | {"files": named}]
    body["upend"]["limits"] = limits
    return Manifest(body, "key")


def run(sql: str, lake: slices.Slice, files: Files, **limits: int) -> local.LocalRun:
    return local.run(manifest(lake, files, **limits), sql, on_progress=lambda _: None)


def test_it_reads_files_by_bearer_and_redirect(
    lake: tuple[slices.Slice, list[Path], object], files: Files
) -> None:
    done = run(COUNT, lake[0], files)
    assert done.error is None
    assert done.table is not None
    assert [tuple(row.values()) for row in done.table.to_pylist()] == [
        (99998, done.table.to_pylist()[0]["sum(delay)"])
    ]
    assert done.columns[1].type == "HUGEINT"
    assert set(files.authorizations_at_bucket) == {""}


def test_it_counts_the_bytes_that_the_bucket_sent(
    lake: tuple[slices.Slice, list[Path], object], files: Files
) -> None:
    done = run(COUNT, lake[0], files)
    assert done.bytes_read == files.bytes_sent > 0
    assert done.engine_seconds > 0


def test_it_reads_inlined_rows_without_any_file(
    lake: tuple[slices.Slice, list[Path], object], files: Files
) -> None:
    done = run("SELECT * FROM airports ORDER BY code DESC", lake[0], files)
    assert done.error is None
    assert done.bytes_read == 0
    assert [column.type for column in done.columns] == ["VARCHAR", "DECIMAL(9,2)"]


def test_it_says_when_the_files_stop_being_served(
    lake: tuple[slices.Slice, list[Path], object], files: Files
) -> None:
    files.revoked = True
    done = run(COUNT, lake[0], files)
    assert isinstance(done.error, Unreachable)
    assert done.error.code == "files-unreachable"
    assert "--on server" in done.error.hint
    assert done.table is None


def test_it_reaches_nothing_but_the_manifests_files(
    lake: tuple[slices.Slice, list[Path], object], files: Files
) -> None:
    for sql in (
        f"SELECT * FROM read_parquet('{lake[1][0]}')",
        f"SELECT * FROM read_parquet('{files.base_url}99')",
        "SELECT * FROM read_text('/etc/hostname')",
    ):
        done = run(sql, lake[0], files)
        assert isinstance(done.error, QueryFailed), sql
        assert done.error.code == "engine-error"
    assert files.bytes_sent == 0


def test_it_stops_at_the_deadline(
    lake: tuple[slices.Slice, list[Path], object], files: Files
) -> None:
    began = time.monotonic()
    done = local.run(
        manifest(lake[0], files), SLOW, on_progress=lambda _: None, deadline=began + 0.5
    )
    assert done.error is not None
    assert done.error.code == "timeout"
    assert time.monotonic() - began < 60


def test_it_stops_when_the_person_does(
    lake: tuple[slices.Slice, list[Path], object], files: Files
) -> None:
    heard: list[float] = []

    def interrupt(percent: float) -> None:
        heard.append(percent)
        if len(heard) == 5:
            raise KeyboardInterrupt

    done = local.run(manifest(lake[0], files), SLOW, on_progress=interrupt)
    assert isinstance(done.error, QueryCancelled)


def test_it_gives_up_on_a_function_that_does_not_listen(
    lake: tuple[slices.Slice, list[Path], object], files: Files
) -> None:
    pressed: list[float] = []

    def interrupt(percent: float) -> None:
        if time.monotonic() - began > 1:
            pressed.append(time.monotonic())
            raise KeyboardInterrupt

    began = time.monotonic()
    done = local.run(manifest(lake[0], files), STUBBORN, on_progress=interrupt)
    assert isinstance(done.error, QueryCancelled)
    took = time.monotonic() - pressed[0]
    assert took < 2 * slowness()
    for thread in threading.enumerate():
        if thread.name == "upend-engine":
            thread.join()  # else it might be at work when this process ends


def test_it_keeps_to_the_servers_limits(
    lake: tuple[slices.Slice, list[Path], object], files: Files
) -> None:
    cut = run("SELECT id FROM flights", lake[0], files, max_rows=1000)
    assert cut.table is not None
    assert (cut.table.num_rows, cut.truncated) == (1000, True)
    small = run("SELECT id FROM flights", lake[0], files, max_bytes=800_000)
    assert small.table is not None
    assert small.truncated
    assert 0 < small.table.nbytes <= 800_000
    late = run(SLOW, lake[0], files, timeout_seconds=1)
    assert late.error is not None
    assert late.error.code == "timeout"


def test_it_says_what_the_engine_says_about_the_query(
    lake: tuple[slices.Slice, list[Path], object], files: Files
) -> None:
    done = run("SELECT code::INTEGER FROM airports", lake[0], files)
    assert isinstance(done.error, QueryFailed)
    assert "ZRH" in done.error.detail
