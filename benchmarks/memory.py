"""How near the memory that plans name is to what DuckDB then takes: TPC-H, flights, heavy shapes.

Measured: the peak of DuckDB's buffer manager (its own profiler, SYSTEM_PEAK_BUFFER_MEMORY) in a
fresh engine with two threads on the same live lake, enough memory and no file cache. Estimated:
`memory_bytes` of the plan.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.stage import Stage, save, stage
from tests.differential import live
from tests.differential.history import load_flights, load_tpch
from tests.differential.queries import FLIGHTS, tpch

SCALE = 1
THREADS = 2
MEMORY = "6GB"
HEAVY = {
    "sort": "SELECT * FROM lineitem ORDER BY l_comment, l_extendedprice",
    "distinct-text": "SELECT DISTINCT l_comment FROM lineitem",
    "distinct-rows": (
        "SELECT count(*) FROM (SELECT DISTINCT l_orderkey, l_linenumber FROM lineitem)"
    ),
    "window": (
        "SELECT max(r) FROM (SELECT l_comment, row_number() OVER"
        " (PARTITION BY l_partkey ORDER BY l_shipdate) AS r FROM lineitem)"
        " WHERE length(l_comment) > r"
    ),
    "many-groups": (
        "SELECT l_partkey, l_suppkey, sum(l_quantity) AS q, min(l_comment) FROM lineitem"
        " GROUP BY ALL HAVING q < 3"
    ),
    "few-groups": "SELECT l_returnflag, l_shipmode, count(*) FROM lineitem GROUP BY ALL",
    "self-join": (
        "SELECT count(*), max(a.o_comment || b.o_comment) FROM orders a JOIN orders b"
        " ON a.o_custkey = b.o_custkey AND a.o_orderkey < b.o_orderkey"
    ),
    "lists": (
        "SELECT max(len(x)) FROM (SELECT l_suppkey, list(l_comment) AS x FROM lineitem GROUP BY 1)"
    ),
    "count-distinct": ("SELECT l_returnflag, count(DISTINCT l_orderkey) FROM lineitem GROUP BY 1"),
}


def main() -> None:
    """Measure, print and save."""
    with stage() as here, tempfile.TemporaryDirectory() as scratch:
        documents = {name: here.catalog(name) for name in ("flights", "tpch")}
        document = documents["tpch"] | {"lakes": _lakes(documents)}
        writer = live.connect(document)
        for name in document["lakes"]:
            live.attach(writer, document, name, writable=True)
        load_flights(writer, Path(scratch))
        load_tpch(writer, SCALE)
        writer.close()
        queries = [("tpch", n, sql) for n, sql in (tpch() | HEAVY).items()]
        queries += [("flights", n, sql) for n, sql in FLIGHTS.items()]
        found = {
            name: compare(here, document, catalog, sql, Path(scratch))
            for catalog, name, sql in queries
        }
        save("memory", {"scale_factor": SCALE, "threads": THREADS} | summary(found))


def _lakes(documents: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {name: one["lakes"][name] for name, one in documents.items()}


def compare(
    here: Stage, document: dict[str, Any], catalog: str, sql: str, scratch: Path
) -> dict[str, float]:
    """Return what the plan of one query says, and what the query took."""
    from execution.planning import plan

    planned = plan(actor=here.actor, workspace=here.workspace, sql=sql, default_catalog=catalog)
    estimated = planned.estimate.memory_bytes
    measured = peak(document, catalog, sql, scratch)
    return {
        "estimated_mb": round(estimated / 10**6, 1),
        "measured_mb": round(measured / 10**6, 1),
        "ratio": round(estimated / measured, 2),
    }


def peak(document: dict[str, Any], catalog: str, sql: str, scratch: Path) -> int:
    """Return the most memory that a fresh engine's buffers took while it ran the query."""
    profile = scratch / "profile.json"
    con = live.connect(document)
    con.execute(f"SET threads = {THREADS}")
    con.execute(f"SET memory_limit = '{MEMORY}'")
    con.execute("SET enable_external_file_cache = false")
    live.attach(con, document, catalog)
    con.execute(f"USE {catalog}.main")
    con.execute("PRAGMA enable_profiling = 'json'")
    con.execute(f"SET profiling_output = '{profile}'")
    con.execute("""SET custom_profiling_settings = '{"SYSTEM_PEAK_BUFFER_MEMORY": "true"}'""")
    for _ in con.execute(sql).to_arrow_reader(100_000):
        pass
    con.close()
    return int(json.loads(profile.read_text())["system_peak_buffer_memory"])


def summary(found: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Return how many estimates are near, beside each of them."""
    ratios = [one["ratio"] for one in found.values()]
    return {
        "queries_measured": len(ratios),
        "median_ratio": round(statistics.median(ratios), 2),
        "within_4x": sum(0.25 <= ratio <= 4 for ratio in ratios),
        "below_half": sum(ratio < 0.5 for ratio in ratios),
        "smallest_ratio": min(ratios),
        "largest_ratio": max(ratios),
        "queries": found,
    }


if __name__ == "__main__":
    main()
