"""How long a plan and a manifest take with 100, 10,000 and 100,000 data files in the table.

Baseline, in the same run: DuckLake's own planning of the same query on the live lake
(`EXPLAIN` in a warm plain DuckDB), which knows nothing of policy, estimates or placement.
"""

from __future__ import annotations

import time
from typing import Any

from django.db import connection

import upend
from benchmarks import synthetic
from benchmarks.stage import Stage, milliseconds, percentiles, save, stage
from tests.differential import live
from upend.login import enrol

SIZES = (100, 10_000, 100_000)
RUNS = 40


def main() -> None:
    """Measure, print and save."""
    with stage() as here:
        document = here.catalog("big")
        plain = live.connect(document)
        live.attach(plain, document, "big", writable=True)
        for files in SIZES:
            plain.execute(f"CREATE TABLE big.main.t{files} ({synthetic.CREATE})")
        schema = document["lakes"]["big"]["schema"]
        with connection.cursor() as cursor:
            for files in SIZES:
                synthetic.fill(cursor, schema=schema, table=f"t{files}", files=files)
        client = upend.connect(here.url, token=here.token, workspace="bench")
        enrol(client.api, client.store, client.profile, name="benchmarks")
        save("planning", {str(files): measure(here, client, plain, files) for files in SIZES})


def measure(here: Stage, client: upend.Connection, plain: Any, files: int) -> dict[str, Any]:
    """Return the figures of one table: 1 % of its files survive the filter."""
    from execution.domain import RequestedPlace
    from execution.planning import plan

    last = max(1, files // 100)
    sql = (
        f"SELECT sum(amount), count(DISTINCT name) FROM big.main.t{files}"
        f" WHERE day < DATE '1900-01-01' + {last}"
    )

    def planned() -> None:
        plan(
            actor=here.actor,
            workspace=here.workspace,
            sql=sql,
            requested=RequestedPlace.SERVER,
        )

    found = plan(
        actor=here.actor, workspace=here.workspace, sql=sql, requested=RequestedPlace.SERVER
    )
    baseline = milliseconds(lambda: plain.execute(f"EXPLAIN {sql}").fetchall(), runs=RUNS)
    plans = milliseconds(planned, runs=RUNS)
    api = milliseconds(lambda: client.explain(sql, on="local"), runs=RUNS)
    submits, manifests = manifest_times(client, sql)
    hundred = (
        f"SELECT sum(amount) FROM big.main.t{files}"
        " WHERE day BETWEEN DATE '1900-01-01' AND DATE '1900-04-10'"
    )
    _, of_a_hundred = manifest_times(client, hundred)
    median = percentiles(plans)["p50_ms"]
    return {
        "files_in_table": files,
        "files_that_survive": found.estimate.files,
        "plan": percentiles(plans),
        "plan_over_the_api": percentiles(api),
        "ducklake_explain": percentiles(baseline),
        "plan_over_ducklake_explain": round(median / percentiles(baseline)["p50_ms"], 2),
        "submit_local": percentiles(submits),
        "manifest": percentiles(manifests),
        "manifest_of_100_files": percentiles(of_a_hundred),
    }


def manifest_times(client: upend.Connection, sql: str) -> tuple[list[float], list[float]]:
    """Return how long submitting a local query and fetching its manifest took."""
    submits, manifests = [], []
    base = f"/api/v1/workspaces/{client.workspace}/queries"
    for _ in range(10):
        started = time.perf_counter()
        query = client.api.post(base, {"sql": sql, "place": "local"}, prove=True)
        submitted = time.perf_counter()
        client.api.request("GET", f"{base}/{query['id']}/manifest", prove=True)
        manifests.append((time.perf_counter() - submitted) * 1000)
        submits.append((submitted - started) * 1000)
        client.api.post(f"{base}/{query['id']}/cancel")
    return submits, manifests


if __name__ == "__main__":
    main()
