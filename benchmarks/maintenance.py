"""What upkeep makes of a stream of small commits: files, query time, and bytes rewritten for it.

Rounds of small inserts, each followed by a run as the schedule would begin it. A query is a slice
attached and scanned whole, in this process, from the bucket. Baseline, in the same run: the same
rows written at once into a table of their own.
`python -m benchmarks.maintenance --save` keeps the figures.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from benchmarks.stage import Stage, milliseconds, percentiles, save, stage

ROUNDS = 6
COMMITS = 40
ROWS = 2_000
RUNS = 7
WAIT_SECONDS = 600.0


def main() -> None:
    """Measure, print, and save if asked to."""
    with stage() as here:
        figures = measure(here)
    if "--save" in sys.argv:
        save("maintenance", figures)
    else:
        print(json.dumps(figures, indent=2))


def measure(here: Stage) -> dict[str, Any]:
    """Return the figures of each round, and of the whole."""
    from catalog.models import Catalog, MaintenanceRun
    from catalog.services import maintenance

    here.catalog("stream")
    catalog = Catalog.objects.select_related("bucket", "workspace__organization").get(name="stream")
    written = _written(here, catalog, ["CREATE TABLE lake.main.t (i BIGINT, v DOUBLE, s VARCHAR)"])
    rounds = []
    for number in range(ROUNDS):
        insert = (
            f"INSERT INTO lake.main.t SELECT {number} * {ROWS} + range, random(), md5(range::text)"
            f" FROM range({ROWS})"
        )
        written += _written(here, catalog, [insert] * COMMITS)
        before = _standing(here, catalog, "t")
        maintenance.start_scheduled(catalog=catalog)
        _idle(catalog)
        rounds.append({"before": before, "after": _standing(here, catalog, "t")})
    rewritten = sum(MaintenanceRun.objects.values_list("bytes_written", flat=True))
    _written(here, catalog, ["CREATE TABLE lake.main.fresh AS SELECT * FROM lake.main.t"])
    fresh = _standing(here, catalog, "fresh")
    last = rounds[-1]["after"]
    return {
        "commits": ROUNDS * COMMITS,
        "rows": ROUNDS * COMMITS * ROWS,
        "ingested_bytes": written,
        "rewritten_bytes": rewritten,
        "write_amplification": round((written + rewritten) / written, 2),
        "rounds": rounds,
        "written_at_once": fresh,
        "query_time_ratio": round(last["query"]["p50_ms"] / fresh["query"]["p50_ms"], 2),
    }


def _written(here: Stage, catalog: Any, statements: list[str]) -> int:
    """Commit each statement; return the bytes of the data files that came of it."""
    from catalog import services
    from catalog.domain import JobKind
    from catalog.lake import standing
    from catalog.maintenance import health

    first = health.newest_file_id(catalog)
    job = services.enqueue_job(
        actor=here.actor,
        catalog=catalog,
        kind=JobKind.STATEMENTS,
        arguments={"statements": statements},
    )
    done = services.wait_for_job(job, timeout_seconds=WAIT_SECONDS)
    assert done.problem is None, done.problem
    return standing.written_since(catalog, first)[1]


def _idle(catalog: Any) -> None:
    """Wait until no run of upkeep is under way."""
    from catalog.models import MaintenanceRun

    deadline = time.monotonic() + WAIT_SECONDS
    while MaintenanceRun.objects.active().filter(catalog=catalog).exists():
        assert time.monotonic() < deadline
        time.sleep(0.5)
    failed = MaintenanceRun.objects.filter(catalog=catalog, state="failed")
    assert not failed.exists(), failed.first().problem


def _standing(here: Stage, catalog: Any, name: str) -> dict[str, Any]:
    """Return how many files a table has, and how long a scan of all of it takes."""
    from catalog import lake

    newest = lake.latest_snapshot(catalog).snapshot_id
    table = lake.table(catalog, newest, "main", name)
    assert table is not None
    sql = f"SELECT count(i), sum(v), max(s) FROM stream.main.{name}"
    times = milliseconds(lambda: _scan(here, sql), runs=RUNS, warmup=1)
    return {
        "files": table.file_count,
        "megabytes": round(table.file_size_bytes / 10**6, 1),
        "query": percentiles(times),
    }


def _scan(here: Stage, sql: str) -> None:
    from catalog import storage
    from execution import planning, slices
    from upend import slices as engine

    plan = planning.plan(actor=here.actor, workspace=here.workspace, sql=sql)
    built = slices.build(
        planning.execution_record(plan),
        locate=lambda file: storage.hosted().presign(file.key, valid_seconds=600),
    )
    con = engine.connect(memory_bytes=2**29, threads=2)
    try:
        engine.attach(con, built.slices, plan.search_path)
        engine.lock(con, engine.paths(built.slices))
        con.execute(sql).fetchall()
    finally:
        con.close()


if __name__ == "__main__":
    main()
