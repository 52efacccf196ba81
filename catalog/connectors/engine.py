"""The DuckDB that readers of sources share: no network of its own, no more memory than this."""

from __future__ import annotations

from functools import lru_cache

import duckdb

MEMORY = "1GB"


@lru_cache(maxsize=1)
def engine(directory: str) -> duckdb.DuckDBPyConnection:
    """Return an engine that may spill into `directory`: the same one when asked again.

    It is made before a sandbox is entered, in which DuckDB cannot start.
    """
    con = duckdb.connect(
        ":memory:",
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "memory_limit": MEMORY,
            "secret_directory": "/nonexistent",
            "temp_directory": directory,
            "threads": 1,
        },
    )
    con.execute("SET TimeZone = 'UTC'")
    return con
