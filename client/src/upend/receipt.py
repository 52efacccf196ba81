"""What this device says about a run: no values of the data, only its measures."""

from __future__ import annotations

import time
from typing import Any

import duckdb

from upend import __version__, machine
from upend.errors import QueryCancelled
from upend.local import LocalRun

Document = dict[str, Any]


def receipt_claims(query_id: str, run: LocalRun) -> Document:
    """Return what this device says about a run: no values of the data, only its measures."""
    outcome = "succeeded"
    if run.error is not None:
        outcome = "cancelled" if isinstance(run.error, QueryCancelled) else "failed"
    claims: Document = {
        "query_id": query_id,
        "outcome": outcome,
        "bytes_read": run.bytes_read,
        "row_count": run.table.num_rows if run.table is not None else None,
        "engine_seconds": round(run.engine_seconds, 6),
        "run_seconds": round(run.run_seconds, 6),
        "truncated": run.truncated,
        "columns": [{"name": c.name, "type": c.type} for c in run.columns],
        "engine": f"duckdb {duckdb.__version__}",
        "client": f"upend {__version__}",
        "iat": int(time.time()),
        "machine": {
            "memory_bytes": machine.memory_bytes(),
            "cores": machine.cores(),
            "cached_bytes": {},  # each run has an engine of its own: nothing fetched stays
        },
    }
    if run.link_bytes_per_second:
        claims["machine"]["link_bytes_per_second"] = run.link_bytes_per_second
    if run.error is not None:
        # The engine's own text may quote values, so only the code leaves the machine.
        claims["problem"] = {"code": run.error.code}
    return claims
