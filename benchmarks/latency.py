"""What Upend adds to small queries: group-bys over a million rows, with the pool warm.

Baseline, in the same run and interleaved query by query: plain DuckDB in this process on the same
live lake, with as many threads, its file cache on. `pool` runs each query as another statement
than the one before, so that no result is reused; `session` follows at once on another query of
the same table, so that the engine that holds the slice takes it.
"""

from __future__ import annotations

import statistics
import sys
import time
from typing import Any

import upend
from benchmarks.stage import percentiles, save, stage
from tests.differential import live

ROWS = 1_000_000
GROUP_BYS = [
    "SELECT g, count(*), sum(v) FROM {t} GROUP BY g ORDER BY g",
    "SELECT g % 10 AS k, avg(v), min(i), max(i) FROM {t} GROUP BY k ORDER BY k",
    "SELECT g, count(DISTINCT i % 1000) FROM {t} WHERE v > 0.5 GROUP BY g ORDER BY g",
    "SELECT s, count(*) FROM {t} GROUP BY s ORDER BY count(*) DESC, s LIMIT 20",
    "SELECT date_trunc('month', d) AS m, sum(v) FROM {t} GROUP BY m ORDER BY m",
]


def main() -> None:
    """Measure, print and save."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 12
    with stage() as here:
        document = here.catalog("bench")
        plain = live.connect(document)
        live.attach(plain, document, "bench", writable=True)
        plain.execute(
            f"CREATE TABLE bench.t AS SELECT range i, (hash(range) % 100)::INT g, random() v,"
            f" 's' || (hash(range, 1) % 500)::VARCHAR s,"
            f" DATE '2020-01-01' + (range % 2000)::INT d FROM range({ROWS})"
        )
        client = upend.connect(here.url, token=here.token, workspace="bench")
        figures = {
            "pool": measure(client, plain, runs, 0.7),
            "back_to_back": measure(client, plain, runs, 0.0),
        }
        save("latency", {"rows": ROWS} | figures)


def measure(client: Any, plain: Any, runs: int, pause: float) -> dict[str, Any]:
    """Return what lies between ours and theirs, in milliseconds."""
    ours, theirs, steps = [], [], []
    for number in range(runs * len(GROUP_BYS)):
        sql = GROUP_BYS[number % len(GROUP_BYS)]
        text = sql.format(t="bench.t") + f" -- {number}"
        unique = text.replace("SELECT ", f"SELECT {number} AS n, ", 1)
        time.sleep(pause)
        theirs.append(ms(lambda: plain.execute(unique).fetchall()))
        started = time.time()
        ours.append(ms(lambda: steps.append((client.sql(unique, on="server"), time.time()))))
        steps[-1] = (started, *steps[-1])
    over = [a - b for a, b in zip(ours, theirs, strict=True)][len(GROUP_BYS) :]
    report(client, steps)
    return {
        "overhead": percentiles(over),
        "upend": percentiles(ours),
        "duckdb": percentiles(theirs),
        "median_ratio": round(statistics.median(a / b for a, b in zip(ours, theirs)), 2),
    }


def report(client: Any, steps: Any) -> None:
    from execution.models import Query

    rows = []
    for started, result, returned in steps:
        q = Query.objects.get(id=result.query_id)
        t = lambda d: d.timestamp()
        rows.append(
            {
                "submit->created": t(q.created_at) - started,
                "created->claimed": t(q.started_at) - t(q.created_at),
                "claimed->finished": t(q.finished_at) - t(q.started_at),
                "engine": q.engine_seconds,
                "finished->returned": returned - t(q.finished_at),
                "all": returned - started,
            }
        )
    print({k: round(1000 * statistics.median(r[k] for r in rows), 1) for k in rows[0]})


def ms(work: Any) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


if __name__ == "__main__":
    main()
