"""What Upend adds to a query on the server: TPC-H at scale factor 1, end to end over the API.

Baseline, in the same run and interleaved query by query: plain DuckDB in this process, attached
to the same live lake with the same number of threads. Both read from the bucket: the baseline's
own file cache is off, because a one-shot engine has none. What a warm cache would give the
baseline is measured too (`duckdb_cached_s`); closing that gap is the work of a later version.

Measured at two paces. A person's: a second between queries, in which the worker warms the next
engine. And back to back, where on two cores each query shares the machine with that warming.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import upend
from benchmarks.stage import save, stage
from tests.differential import live
from tests.differential.history import load_tpch
from tests.differential.queries import tpch

SCALE = 1
RUNS = 3
PACES = {"a_second_apart": 1.0, "back_to_back": 0.0}


def main() -> None:
    """Measure, print and save."""
    with stage() as here:
        document = here.catalog("tpch")
        plain = live.connect(document)
        live.attach(plain, document, "tpch", writable=True)
        load_tpch(plain, SCALE)
        plain.execute("USE tpch")
        client = upend.connect(here.url, token=here.token, workspace="bench")
        client.sql("SELECT count(*) FROM tpch.nation", on="server", cache=False)
        figures = {pace: measure(client, plain, pause) for pace, pause in PACES.items()}
        save("overhead", {"scale_factor": SCALE} | figures)


def measure(client: upend.Connection, plain: Any, pause_seconds: float) -> dict[str, Any]:
    """Return seconds by query for both, and what lies between."""
    queries = {name: compare(client, plain, sql, pause_seconds) for name, sql in tpch().items()}
    overheads = [q["overhead_ms"] for q in queries.values()]
    return {
        "median_overhead_ms": round(statistics.median(overheads), 1),
        "worst_overhead_ms": max(overheads),
        "median_ratio": round(statistics.median(q["ratio"] for q in queries.values()), 2),
        "queries": queries,
    }


def compare(
    client: upend.Connection, plain: Any, sql: str, pause_seconds: float
) -> dict[str, float]:
    """Return the median seconds of one query: ours, plain, and plain with a warm cache."""
    ours, theirs, cached = [], [], []
    for _ in range(RUNS):
        time.sleep(pause_seconds)
        plain.execute("SET enable_external_file_cache = false")
        theirs.append(seconds(lambda: plain.execute(sql).fetchall()))
        time.sleep(pause_seconds)
        ours.append(
            seconds(lambda: client.sql(sql, on="server", catalog="tpch", cache=False).fetchall())
        )
        plain.execute("SET enable_external_file_cache = true")
        plain.execute(sql).fetchall()
        cached.append(seconds(lambda: plain.execute(sql).fetchall()))
    upend_s, duckdb_s = statistics.median(ours), statistics.median(theirs)
    return {
        "upend_s": round(upend_s, 3),
        "duckdb_s": round(duckdb_s, 3),
        "duckdb_cached_s": round(statistics.median(cached), 3),
        "overhead_ms": round((upend_s - duckdb_s) * 1000, 1),
        "ratio": round(upend_s / duckdb_s, 2),
    }


def seconds(work: Any) -> float:
    """Return how long one call took."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
