"""What an engine fetched is counted as DuckDB's own reading of its log would have it."""

from __future__ import annotations

import io
import json
import os

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from catalog import storage
from execution.engine import child, fetched
from upend import slices

KEY = "tests/count-fetches.parquet"
PARSED = """
SELECT sum(response.headers['Content-Length']::BIGINT) FROM duckdb_logs_parsed('HTTP')
 WHERE request.type = 'GET' AND response.status LIKE '%_2%'
"""


def engine() -> duckdb.DuckDBPyConnection:
    con = slices.connect(memory_bytes=2**28, threads=1)
    con.execute("SET enable_external_file_cache = false")
    con.execute("CALL enable_logging('HTTP')")
    return con


def address() -> str:
    """Put a file whose answers bear a header that reads like another length."""
    written = io.BytesIO()
    pq.write_table(pa.table({"a": range(50_000)}), written, row_group_size=10_000)
    storage.hosted().client.put_object(
        Bucket=storage.hosted().bucket,
        Key=KEY,
        Body=written.getvalue(),
        Metadata={"note": "{, Content-Length=999999999999}"},
    )
    return storage.hosted().presign(KEY, valid_seconds=600)


def test_it_counts_what_the_parsed_log_says_and_from_nothing_each_time() -> None:
    con, url = engine(), address()
    counts = []
    for _ in range(2):
        con.execute(f"SELECT sum(a) FROM read_parquet('{url}')").fetchall()
        counts.append(fetched.count(con))
        assert [(counts[-1],)] == con.execute(PARSED).fetchall()
        fetched.forget(con)
        assert fetched.count(con) == 0
    assert counts[0] > 0
    assert counts == [counts[0]] * 2


def test_it_counts_each_job_of_an_engine_from_nothing() -> None:
    answers, says = os.pipe()
    with child.load() as loaded, child.prepare(loaded, "") as con, os.fdopen(answers) as lines:
        con.execute("SET enable_external_file_cache = false")
        reporter = child.Reporter(says)
        kept = child.Engine(con, reporter, io.BytesIO())
        job = {"sql": f"SELECT sum(a) FROM read_parquet('{address()}')"}
        counts = []
        for _ in range(2):
            kept.work(job | {"max_rows": 1, "max_bytes": 1000})
            outcome = next(said for line in lines if "outcome" in (said := json.loads(line)))
            counts.append(outcome["outcome"]["bytes_read"])
        reporter.close()
    assert counts[0] == counts[1] > 0
