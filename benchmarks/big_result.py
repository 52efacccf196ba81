"""Fifty million rows from a lake to a Parquet file at the client; the web process carries none.

The engine's rows are spooled into the bucket as Arrow while it runs; a worker writes them again
as Parquet when that is asked for; the client fetches the file from the bucket itself. What each
process holds in memory is sampled throughout: `web` with its planning processes, `worker-query`
with its engine.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow.parquet as pq

from benchmarks.resident import Watch
from benchmarks.stage import Stage, save, stage
from tests.differential import live

ROWS = 50_000_000
QUERY = "SELECT id, sensor, reading, taken_at FROM big.events"
MAKE = (
    "CREATE TABLE big.main.events AS SELECT i AS id, (i * 7919 % 1000)::INTEGER AS sensor,"
    " (hash(i) % 100000 / 100)::DECIMAL(9,2) AS reading,"
    " TIMESTAMP '2024-01-01' + to_milliseconds(i * 37) AS taken_at FROM range({rows}) t(i)"
)
TIMEOUT_SECONDS = 3600
WARMUPS = 5
"""Each web process loads some things at its first page: none of that is the result's."""


class _Stay(urllib.request.HTTPRedirectHandler):
    """Shows redirects instead of following them."""

    def redirect_request(self, *_: Any) -> None:
        """Follow none."""


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    rows = parser.parse_args().rows
    with stage() as here:
        fill(here, rows)
        allow(here, rows)
        for _ in range(WARMUPS):
            way(here, f"{QUERY} LIMIT 5000", 5000)
        figures = measure(here, rows)
    save("big_result" if rows == ROWS else f"big_result_{rows}", {"rows": rows} | figures)


def fill(here: Stage, rows: int) -> None:
    """Make the table, as any DuckDB would."""
    document = here.catalog("big")
    plain = live.connect(document)
    live.attach(plain, document, "big", writable=True)
    plain.execute(MAKE.format(rows=rows))
    plain.close()


def allow(here: Stage, rows: int) -> None:
    """Raise the workspace's limits, as an operator would for such results."""
    workspace = here.workspace
    workspace.max_result_rows = rows * 2
    workspace.max_result_bytes = rows * 200
    workspace.query_timeout_seconds = TIMEOUT_SECONDS
    workspace.save()


def measure(here: Stage, rows: int) -> dict[str, Any]:
    """Return seconds, sizes and memory of the way from the question to the file."""
    with Watch(lambda: here.running.processes) as watch:
        figures = way(here, QUERY, rows)
    return figures | {"memory": watch.summary()}


def way(here: Stage, sql: str, rows: int) -> dict[str, Any]:
    """Go the whole way once, and check that every row arrived."""
    seconds: dict[str, float] = {}
    with timed(seconds, "run_and_spool"):
        query = finished(here, sql)
    address = f"/api/v1/workspaces/bench/queries/{query['id']}/result"
    with timed(seconds, "write_parquet"):
        url = located(here, f"{address}?format=parquet")
    with timed(seconds, "fetch"), tempfile.NamedTemporaryFile(suffix=".parquet") as file:
        parquet_bytes = download(url, file)
        file.flush()
        found = pq.ParquetFile(file.name).metadata
    with timed(seconds, "page_near_the_end"):
        page = json.loads(ask(here, f"{address}?offset={rows - 1000}").read())
    assert (found.num_rows, query["row_count"], len(page["rows"])) == (rows, rows, 1000)
    assert not query["truncated"]
    return {
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
        "engine_seconds": query["engine_seconds"],
        "arrow_bytes": query["result_bytes"],
        "parquet_bytes": parquet_bytes,
        "parquet_row_groups": found.num_row_groups,
    }


def finished(here: Stage, sql: str) -> dict[str, Any]:
    """Run the query on the server and return its document when it has ended."""
    base = "/api/v1/workspaces/bench/queries"
    query = json.loads(ask(here, base, {"sql": sql, "place": "server", "cache": False}).read())
    while query["state"] in {"queued", "running"}:
        time.sleep(0.5)
        query = json.loads(ask(here, f"{base}/{query['id']}").read())
    assert query["state"] == "succeeded", query["problem"]
    return dict(query)


def located(here: Stage, path: str) -> str:
    """Return where in the bucket a format lies, once it is written."""
    while True:
        answer = ask(here, path)
        if location := answer.headers.get("Location"):
            return str(location)
        time.sleep(float(answer.headers.get("Retry-After", "1")))


def download(url: str, file: Any) -> int:
    """Write what `url` gives into `file` piece by piece, and return its size."""
    size = 0
    with urllib.request.urlopen(url, timeout=60) as body:  # noqa: S310 - the stage's own bucket
        while piece := body.read(2**20):
            size += file.write(piece)
    return size


def ask(here: Stage, path: str, body: dict[str, Any] | None = None) -> Any:
    """Send one request to the API; redirects are answers."""
    data = json.dumps(body).encode() if body else None
    headers = {"Authorization": f"Bearer {here.token}", "Content-Type": "application/json"}
    request = urllib.request.Request(here.url + path, data, headers)  # noqa: S310 - the stage
    try:
        return urllib.request.build_opener(_Stay).open(request, timeout=60)
    except urllib.error.HTTPError as answer:
        if answer.headers.get("Location"):
            return answer
        raise


@contextmanager
def timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    """Note how long the block took."""
    started = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - started


if __name__ == "__main__":
    main()
