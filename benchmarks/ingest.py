"""What sending rows costs: rows a second as Arrow, small appends a second, when all see them.

Then an hour's worth of small appends, as quickly as they go: how many files the table has and
what a query takes, beside the same table freshly compacted.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import queue
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any

import httpx
import psutil
import pyarrow as pa

import upend
from benchmarks.stage import Stage, percentiles, save, stage
from tests.differential import live
from tests.faults import chaos

ARROW_ROWS = 100_000
ARROW_BATCHES = 30
SENDERS = (24, 48)
"""Each waits for its commit before it sends again: with more of them a commit is shared by more."""
APPENDS = 2400
PROBES = 40
STREAM_APPENDS = 3600
"""One a second for an hour; ten rows each."""
STREAM_ROWS = 10
COLUMNS = "id BIGINT, sensor INTEGER, name VARCHAR, value DOUBLE, seen TIMESTAMP"


def main() -> None:
    """Measure, print and save."""
    with stage() as here:
        document = here.catalog("ingest")
        plain = live.connect(document)
        live.attach(plain, document, "ingest", writable=True)
        for name in ("arrow", "small", "probe", "stream", "compacted"):
            plain.execute(f"CREATE TABLE ingest.main.{name} ({COLUMNS})")
        figures = {
            "arrow": arrow(here),
            "small_appends": [small_appends(here, senders=count) for count in SENDERS],
            "visible": visible(here, plain),
            "after_an_hour": after_an_hour(here, plain),
        }
        save("ingest", figures)


def rows(count: int, start: int = 0) -> pa.Table:
    """Return rows as a fleet of sensors sends them."""
    return pa.table(
        {
            "id": pa.array(range(start, start + count), pa.int64()),
            "sensor": pa.array([i % 500 for i in range(count)], pa.int32()),
            "name": pa.array([f"sensor-{i % 500:04d}" for i in range(count)]),
            "value": pa.array([i * 0.25 for i in range(count)]),
            "seen": pa.array(range(start, start + count), pa.timestamp("us")),
        }
    )


def stream_of(table: pa.Table) -> bytes:
    """Return a table as an Arrow stream."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def lines(count: int, start: int) -> bytes:
    """Return the same rows as NDJSON."""
    objects = (
        {"id": start + i, "sensor": i, "name": f"sensor-{i:04d}", "value": i * 0.25}
        for i in range(count)
    )
    return b"\n".join(json.dumps(one).encode() for one in objects)


def client(here: Stage) -> httpx.Client:
    """Return a client of the catalog's tables that keeps its connection."""
    base = f"{here.url}/api/v1/workspaces/bench/catalogs/ingest"
    headers = {"Authorization": f"Bearer {here.token}"}
    return httpx.Client(base_url=base, headers=headers, timeout=60)


def send(to: httpx.Client, table: str, body: bytes, form: str, query: str = "") -> dict[str, Any]:
    """Send rows until they are taken in."""
    kinds = {"arrow": "application/vnd.apache.arrow.stream", "ndjson": "application/x-ndjson"}
    while True:
        answer = to.post(
            f"/tables/main/{table}/rows{query}", content=body, headers={"Content-Type": kinds[form]}
        )
        if answer.status_code != httpx.codes.TOO_MANY_REQUESTS:
            answer.raise_for_status()
            found: dict[str, Any] = answer.json()
            return found
        time.sleep(1)


def arrow(here: Stage) -> dict[str, Any]:
    """Return rows a second from the first byte sent to the last commit, by four senders."""
    body = stream_of(rows(ARROW_ROWS))
    started = time.perf_counter()
    with ThreadPoolExecutor(4) as pool, client(here) as to:
        query = "?ack=committed"
        sent = list(
            pool.map(lambda _: send(to, "arrow", body, "arrow", query), range(ARROW_BATCHES))
        )
        wait_for(to, sent)
    seconds = time.perf_counter() - started
    return {
        "rows_per_second": round(ARROW_ROWS * ARROW_BATCHES / seconds),
        "megabytes_per_second": round(len(body) * ARROW_BATCHES / seconds / 1e6, 1),
    }


def wait_for(to: httpx.Client, sent: list[dict[str, Any]]) -> None:
    """Wait until every batch is committed."""
    for one in sent:
        now = one
        while now["state"] not in {"committed", "rejected"}:
            time.sleep(0.05)
            now = to.get(f"/batches/{one['id']}").json()
        assert now["state"] == "committed", now


class Sender:
    """One that keeps its connection and costs little: the machine is the server's to use."""

    _path = "/api/v1/workspaces/bench/catalogs/ingest/tables/main/small/rows"

    def __init__(self, here: Stage) -> None:
        self._to = http.client.HTTPConnection(here.url.removeprefix("http://"), timeout=60)
        self._headers = {
            "Authorization": f"Bearer {here.token}",
            "Content-Type": "application/x-ndjson",
        }

    def send(self, body: bytes) -> str:
        """Send rows until they are taken in; return where they stand."""
        while True:
            self._to.request("POST", self._path, body, self._headers)
            answer = self._to.getresponse()
            told = answer.read()
            if answer.status != HTTPStatus.TOO_MANY_REQUESTS:
                return str(json.loads(told)["state"])
            time.sleep(1)

    def close(self) -> None:
        """Close the connection."""
        self._to.close()


def small_appends(here: Stage, *, senders: int) -> dict[str, Any]:
    """Return committed appends a second of ten rows each, what one waits, and what it costs."""
    waits: list[float] = []
    idle: queue.SimpleQueue[Sender] = queue.SimpleQueue()
    for _ in range(senders):
        idle.put(Sender(here))

    def append(body: bytes) -> None:
        one = idle.get()
        began = time.perf_counter()
        state = one.send(body)
        waits.append((time.perf_counter() - began) * 1000)
        assert state == "committed", state
        idle.put(one)

    bodies = [lines(STREAM_ROWS, n * STREAM_ROWS) for n in range(senders * 2 + APPENDS)]
    with ThreadPoolExecutor(senders) as pool:
        list(pool.map(append, bodies[: senders * 2]))  # warm
        waits.clear()
        spent, started = cpu_seconds(here), time.perf_counter()
        list(pool.map(append, bodies[senders * 2 :]))
        seconds = time.perf_counter() - started
        used = {name: now - spent.get(name, 0) for name, now in cpu_seconds(here).items()}
    while not idle.empty():
        idle.get().close()
    costs = {name: round(used[name] / APPENDS * 1000, 2) for name in sorted(used)}
    return {
        "per_second": round(APPENDS / seconds, 1),
        "senders": senders,
        **percentiles(waits),
        "cpu_ms_per_append": {name: cost for name, cost in costs.items() if cost},
    }


def cpu_seconds(here: Stage) -> dict[str, float]:
    """Return what each kind of process has used, and these senders."""
    found = {"senders": time.process_time()}
    for process in chaos.family(here.running):
        with contextlib.suppress(psutil.Error):
            times, name = process.cpu_times(), chaos.describe(process)
            found[name] = found.get(name, 0) + times.user + times.system
    return found


def visible(here: Stage, plain: Any) -> dict[str, float]:
    """Return how long after sending `staged` rows plain DuckDB finds them, under a light load."""
    stop = threading.Event()

    def background() -> None:
        with client(here) as to:
            number = 10**9
            while not stop.wait(0.1):
                send(to, "small", lines(STREAM_ROWS, number), "ndjson", "?ack=staged")

    thread = threading.Thread(target=background)
    thread.start()
    found = []
    with client(here) as to:
        for number in range(PROBES):
            began = time.perf_counter()
            send(to, "probe", lines(1, number), "ndjson", "?ack=staged")
            ask = f"SELECT count(*) FROM ingest.main.probe WHERE id = {number}"
            while not plain.execute(ask).fetchone()[0]:
                time.sleep(0.01)
            found.append((time.perf_counter() - began) * 1000)
            time.sleep(0.2)
    stop.set()
    thread.join()
    return percentiles(found)


def after_an_hour(here: Stage, plain: Any) -> dict[str, Any]:
    """Return files and query times after an hour's worth of appends, beside a compacted table."""
    local = threading.local()

    def append(number: int) -> dict[str, Any]:
        if not hasattr(local, "to"):
            local.to = client(here)
        body = lines(STREAM_ROWS, number * STREAM_ROWS)
        return send(local.to, "stream", body, "ndjson", "?ack=staged")

    with ThreadPoolExecutor(8) as pool, client(here) as to:
        sent = list(pool.map(append, range(STREAM_APPENDS)))
        wait_for(to, sent[-8:])
    plain.execute("INSERT INTO ingest.main.compacted SELECT * FROM ingest.main.stream ORDER BY id")
    asking = upend.connect(here.url, token=here.token, workspace="bench")
    times = {name: query_ms(asking, name) for name in ("stream", "compacted")}
    files = plain.execute("SELECT count(*) FROM ducklake_list_files('ingest', 'stream')")
    return {
        "files": files.fetchone()[0],
        "query_ms": times,
        "ratio": round(times["stream"] / times["compacted"], 2),
    }


def query_ms(asking: upend.Connection, table: str) -> float:
    """Return the median milliseconds of one aggregation on the server, its cache left out."""
    text = f"SELECT sensor, count(*), sum(value) FROM ingest.main.{table} GROUP BY sensor"
    found = []
    for _ in range(9):
        began = time.perf_counter()
        asking.sql(text, on="server", cache=False).fetchall()
        found.append((time.perf_counter() - began) * 1000)
    return round(statistics.median(found[2:]), 1)


if __name__ == "__main__":
    main()
