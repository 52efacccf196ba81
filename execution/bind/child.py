"""The binder's process: it holds one schema slice at a time and explains checked SQL on it.

Started by `execution.bind.process` with an empty environment. Reads one JSON line per bind from
standard input, answers with one line. It knows no file, no key and no address, and nothing but
`upend.slices` of Upend.
"""

from __future__ import annotations

import hashlib
import json
import resource
import signal
import sys
from typing import Any

import duckdb

from upend import slices

MEMORY_BYTES = 512 * 2**20
ADDRESS_SPACE_BYTES = 4 * 2**30
NOT_WHILE_BINDING = "statistics_propagation"
"""This optimizer answers count(*) from metadata, without a scan: the plan would not say that all
files are needed. Engines run it; the binder must not."""


def main() -> None:
    """Serve binds until standard input closes."""
    _confine()
    binder = Binder()
    _say({"ready": True})
    for line in sys.stdin:
        job = json.loads(line)
        # The parent kills a bind that hangs; the alarm does where the parent died first.
        signal.alarm(int(job["deadline_seconds"]) + 2)
        try:
            answer = binder.bind(job)
        except duckdb.Error as error:
            answer = {"error": _error(error)}
        signal.alarm(0)
        _say(answer)


class Binder:
    """An engine with at most one schema slice attached."""

    def __init__(self) -> None:
        self.connection = slices.connect(memory_bytes=MEMORY_BYTES, threads=1)
        self.connection.execute(f"SET disabled_optimizers='{NOT_WHILE_BINDING}'")
        self.connection.execute("SET errors_as_json=true")
        slices.lock(self.connection, [])
        self.attached: slices.Attached | None = None
        self.digest = ""

    def bind(self, job: dict[str, Any]) -> dict[str, Any]:
        """Return the plan and the result columns of the job's SQL."""
        self.attach(job)
        rows = self.connection.execute(f"{job['prefix']}{job['sql']}").fetchall()
        relation = self.connection.sql(job["sql"])
        types = [str(kind) for kind in relation.types]
        return {
            "plan": json.loads(rows[0][1]),
            "columns": [list(pair) for pair in zip(relation.columns, types, strict=True)],
        }

    def attach(self, job: dict[str, Any]) -> None:
        """Attach the job's slices, unless they are the ones that are attached."""
        text = json.dumps([job["slices"], job["search_path"]])
        digest = hashlib.sha256(text.encode()).hexdigest()
        if digest == self.digest:
            return
        if self.attached:
            slices.detach(self.connection, self.attached)
        self.attached, self.digest = None, ""
        self.attached = slices.attach(self.connection, job["slices"], job["search_path"])
        self.digest = digest


def _error(error: duckdb.Error) -> dict[str, Any]:
    """Return the engine's structured error; the parent decides which words leave."""
    text = str(error)
    start = text.find("{")
    try:
        found: dict[str, Any] = json.loads(text[start:]) if start >= 0 else {}
    except ValueError:
        found = {}
    return found or {"exception_type": type(error).__name__, "exception_message": text[:2000]}


def _confine() -> None:
    """Give up what a binder never needs: memory without end, files, core dumps."""
    limits = {
        resource.RLIMIT_AS: ADDRESS_SPACE_BYTES,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
    }
    for which, value in limits.items():
        hard = resource.getrlimit(which)[1]
        ceiling = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (ceiling, ceiling))


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
