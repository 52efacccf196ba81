"""What an engine does once, and undoes, while nobody waits for it.

A forked process gets its own copy of a page when it first writes there, and DuckDB and DuckLake
make much of what they need when they first do. So the first job's steps are gone through on a lake
of its own with one table and no rows. Nothing stays, and a job that comes ends it early.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Generator

import duckdb
import pyarrow as pa

from execution.engine import arrow, fetched
from upend import slices

CATALOG = "rehearsal"
ASKED = "SELECT g, count(*) AS n, sum(v) AS s FROM rehearsal.main.t GROUP BY g ORDER BY g"
SLICE: slices.Slice = {
    "format": slices.FORMAT,
    "catalog": CATALOG,
    "snapshot_id": 1,
    "tables": {
        "ducklake_snapshot": {
            "columns": [
                "snapshot_id", "snapshot_time", "schema_version", "next_catalog_id", "next_file_id",
            ],
            "rows": [[1, "2000-01-01 00:00:00+00", 1, 2, 1]],
        },
        "ducklake_schema_versions": {
            "columns": ["begin_snapshot", "schema_version", "table_id"],
            "rows": [[1, 1, 1]],
        },
        "ducklake_table": {
            "columns": [
                "table_id", "table_uuid", "begin_snapshot", "schema_id", "table_name", "path",
                "path_is_relative",
            ],
            "rows": [[1, "00000000-0000-0000-0000-000000000001", 1, 0, "t1", "t1/", True]],
        },
        "ducklake_column": {
            "columns": [
                "column_id", "begin_snapshot", "table_id", "column_order", "column_name",
                "column_type", "nulls_allowed",
            ],
            "rows": [[1, 1, 1, 1, "g", "int32", True], [2, 1, 1, 2, "v", "float64", True]],
        },
        "ducklake_table_stats": {
            "columns": ["table_id", "record_count", "next_row_id", "file_size_bytes"],
            "rows": [[1, 0, 0, 0]],
        },
    },
    "inlined": [],
    "files": [],
    "views": [
        {"schema": "main", "name": "t", "table": "t1", "columns": [["g", None], ["v", None]]}
    ],
}  # fmt: skip


def rehearse(connection: duckdb.DuckDBPyConnection, is_wanted: Callable[[], bool]) -> None:
    """Go through a job step by step, until `is_wanted` says that a real one has come."""
    steps = _steps(connection)
    while not is_wanted() and next(steps, None) is not None:
        continue
    steps.close()


def _steps(connection: duckdb.DuckDBPyConnection) -> Generator[bool]:
    """Do one step at each `next`; wherever it is closed, what was attached goes again."""
    attached = slices.attach(connection, [SLICE])
    try:
        yield True
        _, reader = arrow.ask(connection, ASKED)
        with pa.ipc.new_stream(io.BytesIO(), reader.schema) as writer:
            for batch in reader:
                writer.write_batch(batch)
        yield True
        fetched.count(connection)
        fetched.forget(connection)
    finally:
        slices.detach(connection, attached)
