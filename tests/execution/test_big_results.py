"""A large result passes the web process by: it redirects, and its memory stays where it was."""

from __future__ import annotations

import tempfile
import time

import httpx
import pyarrow.parquet as pq
import pytest

import upend
from benchmarks.resident import Watch
from tests.stack import DemoAir

pytestmark = pytest.mark.stack

ROWS = 2_000_000
WIDE = "SELECT i, hash(i) AS a, hash(i + 1) AS b, i || ' of many' AS text FROM range({rows}) t(i)"
"""Some 80 MB as Arrow."""

GROWTH_MIB = 40
"""Less than half of the result: no copy of it fits in between."""


def test_it_brings_a_large_result_to_a_file_with_the_web_process_s_memory_flat(
    demo_air: DemoAir,
) -> None:
    headers = {"Authorization": f"Bearer {demo_air.secrets['agent']}"}
    with (
        upend.connect(demo_air.url, demo_air.secrets["agent"], workspace="flight-ops") as client,
        httpx.Client(base_url=demo_air.url, headers=headers, timeout=60) as api,
    ):
        for _ in range(4):  # what each web process loads once is not the result's
            small = client.sql(WIDE.format(rows=5000), on="server", cache=False)
            fetch_parquet(api, small)
        for _ in range(16):  # by a connection each, so that no process is left out
            httpx.get(demo_air.url + address_of(small), headers=headers, timeout=60)
        with Watch(lambda: demo_air.stack.processes) as watch:
            result = client.sql(WIDE.format(rows=ROWS), on="server", cache=False)
            rows = fetch_parquet(api, result)
    assert len(result) == rows == ROWS
    web = watch.summary()["web"]
    assert web["peak_mib"] - web["first_mib"] < GROWTH_MIB, web


def address_of(result: upend.Result) -> str:
    """Return where the result is as Parquet."""
    return f"/api/v1/workspaces/flight-ops/queries/{result.query_id}/result?format=parquet"


def fetch_parquet(api: httpx.Client, result: upend.Result) -> int:
    """Fetch the result as Parquet straight from the bucket, and return its rows."""
    while (answer := api.get(address_of(result))).status_code == httpx.codes.ACCEPTED:
        time.sleep(0.2)
    assert answer.status_code == httpx.codes.TEMPORARY_REDIRECT, answer.text
    with tempfile.TemporaryFile() as file:
        with httpx.stream("GET", answer.headers["Location"], timeout=60) as body:
            for piece in body.iter_bytes(2**20):
                file.write(piece)
        file.seek(0)
        return int(pq.ParquetFile(file).metadata.num_rows)
