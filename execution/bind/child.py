"""The binder's process: it holds one schema slice at a time and explains checked SQL on it.

Started by `execution.bind.process` with an empty environment. Reads one JSON line per bind from
standard input, answers with one line. It knows no file, no key and no address, and nothing but
`upend.slices` of Upend.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any

import duckdb

from execution import sandbox
from upend import slices

MEMORY_BYTES = 512 * 2**20
IMPORTED_BY_ARROW = ("pandas", "pyarrow.dataset")
"""DuckDB looks for these when it first meets Arrow."""
NOT_WHILE_BINDING = "statistics_propagation"
"""This optimizer answers count(*) from metadata, without a scan: the plan would not say that all
files are needed. Engines run it; the binder must not."""

UNATTACHED = "unattached"
"""The kind of error of a slice whose views do not bind: its words are those of a policy."""

NO_KEY = b""
"""Of what the binder sees, a macro matters by its type alone: it never gets a key."""


def main() -> None:
    """Serve binds until standard input closes."""
    loaded = load()
    sandbox.alone()
    sandbox.enter(sandbox.Policy.of_dict(json.loads(sys.argv[1])))
    sandbox.limit(memory_bytes=MEMORY_BYTES, temp_bytes=0)
    binder = Binder(loaded)
    binder.get_ready()
    _say({"ready": True})
    for line in sys.stdin:
        job = json.loads(line)
        signal.setitimer(signal.ITIMER_PROF, job["limits"]["cpu_seconds"])
        # The parent kills a bind that hangs; the alarm does where the parent died first.
        signal.alarm(int(job["limits"]["deadline_seconds"]) + 2)
        try:
            answer = binder.bind(job)
        except duckdb.Error as error:
            answer = {"error": _error(error)}
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)
        _say(answer)
        binder.get_ready()
    os._exit(0)  # the copy of a process has not all the threads that libraries would join


def load() -> duckdb.DuckDBPyConnection:
    """Return a loaded DuckDB, with all imported that there is no reading of inside the sandbox."""
    for name in IMPORTED_BY_ARROW:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    return slices.load(memory_bytes=MEMORY_BYTES, threads=1)


class Binder:
    """An engine with at most one schema slice attached."""

    def __init__(self, loaded: duckdb.DuckDBPyConnection) -> None:
        self.connection = loaded.cursor()
        slices.begin(self.connection)
        self.connection.execute(f"SET disabled_optimizers='{NOT_WHILE_BINDING}'")
        self.connection.execute("SET errors_as_json=true")
        slices.define_hmac(self.connection, NO_KEY)
        slices.lock(self.connection, [])
        self.attached: slices.Attached | None = None
        self.digest = ""
        self.lakes: list[slices.EmptyLake] = []

    def bind(self, job: dict[str, Any]) -> dict[str, Any]:
        """Return the plan and the result columns of the job's SQL."""
        try:
            self.attach(job)
        except (duckdb.Error, slices.InvalidSlice):
            # A part of it is left behind: another process takes the next bind.
            return {"error": {"exception_type": UNATTACHED}, "is_over": True}
        self.connection.begin()  # DuckLake looks at its tables once for both
        try:
            rows = self.connection.execute(f"{job['prefix']}{job['sql']}").fetchall()
            relation = self.connection.sql(job["sql"])
            types = [str(kind) for kind in relation.types]
            columns = [list(pair) for pair in zip(relation.columns, types, strict=True)]
        finally:
            self.connection.rollback()
        return {"plan": json.loads(rows[0][1]), "columns": columns}

    def attach(self, job: dict[str, Any]) -> None:
        """Attach the job's slices, unless they are the ones that are attached."""
        text = json.dumps([job["slices"], job["search_path"]])
        digest = hashlib.sha256(text.encode()).hexdigest()
        if digest == self.digest:
            return
        if self.attached:
            slices.detach(self.connection, self.attached)
        self.attached, self.digest = None, ""
        self.attached = slices.attach(
            self.connection, job["slices"], job["search_path"], self.ready_lakes()
        )
        self.digest = digest

    def ready_lakes(self) -> Iterator[slices.EmptyLake]:
        """Take out the lakes that are ready, as far as they are wanted."""
        while self.lakes:
            yield self.lakes.pop()

    def get_ready(self) -> None:
        """Have an empty lake for the next slice, while nobody waits: it is a third of attaching."""
        if not self.lakes:
            self.lakes.append(slices.prepare_lake(self.connection))


def _error(error: duckdb.Error) -> dict[str, Any]:
    """Return the engine's structured error; the parent decides which words leave."""
    text = str(error)
    start = text.find("{")
    try:
        found: dict[str, Any] = json.loads(text[start:]) if start >= 0 else {}
    except ValueError:
        found = {}
    return found or {"exception_type": type(error).__name__, "exception_message": text[:2000]}


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
