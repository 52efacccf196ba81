"""Plain DuckDB on the live lake, without any Upend code: the referee of every comparison."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import duckdb
from duckdb_extensions import import_extension


def connect(document: dict[str, Any]) -> duckdb.DuckDBPyConnection:
    """Return an engine that can reach the lakes' metadata and bucket with the real keys."""
    con = duckdb.connect(":memory:")
    for name in ("ducklake", "httpfs", "postgres_scanner", "tpch"):
        import_extension(name, con=con)
        con.load_extension(name)
    con.execute("SET TimeZone = 'UTC'")
    s3 = document["s3"]
    endpoint = urlsplit(s3["endpoint"])
    con.execute(
        "CREATE SECRET storage (TYPE s3, URL_STYLE 'path', USE_SSL false,"
        f" KEY_ID '{s3['access_key_id']}', SECRET '{s3['secret_access_key']}',"
        f" REGION '{s3['region']}', ENDPOINT '{endpoint.netloc}')"
    )
    return con


def attach(
    con: duckdb.DuckDBPyConnection,
    document: dict[str, Any],
    catalog: str,
    *,
    snapshot: int | None = None,
    writable: bool = False,
) -> None:
    """Attach one live lake under its own name, at its newest snapshot or an older one."""
    lake = document["lakes"][catalog]
    options = [
        f"META_SCHEMA '{lake['schema']}'",
        f"DATA_PATH 's3://{document['s3']['bucket']}/{lake['prefix']}'",
    ]
    if not writable:
        options.append("READ_ONLY")
    if snapshot is not None:
        options.append(f"SNAPSHOT_VERSION {snapshot}")
    con.execute(
        f"ATTACH 'ducklake:postgres:{document['database']}' AS {catalog} ({', '.join(options)})"
    )


def newest_snapshot(con: duckdb.DuckDBPyConnection, catalog: str) -> int:
    """Return the id of the newest snapshot of an attached lake."""
    rows = con.execute(f"SELECT max(snapshot_id) FROM {catalog}.snapshots()").fetchall()
    return int(rows[0][0])
