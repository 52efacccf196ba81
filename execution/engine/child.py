"""The engine process: one slice, checked SQL on it, Arrow streams out, then it is gone.

Forked by `execution.engine.forkserver` (or started cold where processes cannot be forked) before
it has a job, so that everything is loaded by the time one arrives. The first job brings the
slice, after which the engine is locked; it may come ahead of any SQL. Jobs that follow are other
SQL of the same principal on that slice. Says what happened as JSON lines; the words of an
engine error go to the parent alone, which redacts them before anyone reads them.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import select
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, BinaryIO

import duckdb
import pyarrow as pa

from execution import sandbox
from execution.engine import arrow, fetched, messages, rehearsal
from execution.engine.domain import COPY, ERROR_CHARACTERS, path_of
from upend import slices

PROGRESS_SECONDS = 0.2
COUNT_SECONDS = 0.8
COUNT_REST = 50
"""Counting what was fetched takes a fiftieth of a run's time at most."""
WARM_MEMORY_BYTES = 2**28
LAKES_AHEAD = 1
IMPORTED_BY_ARROW = ("pandas", "pyarrow.dataset")


class Reporter:
    """Writes JSON lines to the parent, from two threads."""

    def __init__(self, descriptor: int) -> None:
        self._stream = os.fdopen(descriptor, "w", encoding="utf-8", buffering=1)
        self._lock = threading.Lock()

    def say(self, **message: Any) -> None:
        """Send one line."""
        with self._lock:
            self._stream.write(json.dumps(message) + "\n")
            self._stream.flush()

    def close(self) -> None:
        """Say nothing more."""
        self._stream.close()


class Run:
    """One job's counters, on the engine's connection."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        reporter: Reporter,
        *,
        home: str,
        is_fetching: bool,
    ) -> None:
        self.connection = connection
        self.reporter = reporter
        self.rows = 0
        self.first_row_at: float | None = None
        self.bytes = 0
        self.bytes_read = 0
        self._home = home
        self._is_fetching = is_fetching
        self._count_at = time.monotonic() + COUNT_SECONDS
        self.truncated = False
        self.finished = threading.Event()

    def report_progress(self) -> None:
        """Tell the parent how far the run is, until it is finished."""
        while not self.finished.wait(PROGRESS_SECONDS):
            percent = min(100.0, max(0.0, self.connection.query_progress()))
            self.count_bytes_read()
            self.reporter.say(
                percent=round(percent, 1),
                rows=self.rows,
                bytes=self.bytes,
                bytes_read=self.bytes_read,
            )

    def count_bytes_read(self) -> None:
        """Add up what was fetched so far: seldom, since the log is read from its start each time.

        By a connection of its own, because the run's is busy; it needs a database to stand in,
        and the default one is gone.
        """
        began = time.monotonic()
        if began < self._count_at or not self._is_fetching:
            return
        with contextlib.suppress(duckdb.Error), self.connection.cursor() as aside:
            aside.execute(f'USE "{self._home}"')
            self.bytes_read = fetched.count(aside)
        ended = time.monotonic()
        self._count_at = ended + max(COUNT_SECONDS, COUNT_REST * (ended - began))

    def send(self, reader: pa.RecordBatchReader, stream: BinaryIO, spec: dict[str, Any]) -> None:
        """Stream batches until the end, or until the next row or byte would be one too many."""
        with pa.ipc.new_stream(stream, reader.schema) as writer:
            for batch in reader:
                self.first_row_at = self.first_row_at or time.monotonic()
                allowed = self._within(batch, spec["max_rows"], spec["max_bytes"])
                if allowed.num_rows:
                    writer.write_batch(allowed)
                    self.rows += allowed.num_rows
                    self.bytes += allowed.nbytes
                if self.truncated:
                    break
        stream.flush()

    def _within(self, batch: pa.RecordBatch, max_rows: int, max_bytes: int) -> pa.RecordBatch:
        """Return the rows of `batch` that the caps still allow, noting when some are left off."""
        room = max_rows - self.rows
        if batch.nbytes > max_bytes - self.bytes:
            share = (max_bytes - self.bytes) / batch.nbytes
            room = min(room, int(batch.num_rows * share))
        if room >= batch.num_rows:
            return batch
        self.truncated = True
        return batch.slice(0, room)


def load() -> duckdb.DuckDBPyConnection:
    """Return a loaded DuckDB with one thread: what every engine of a fork server starts from.

    DuckDB looks for these modules when it first meets Arrow, which costs a quarter of a second.
    """
    for name in IMPORTED_BY_ARROW:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    loaded = slices.load(memory_bytes=WARM_MEMORY_BYTES, threads=1)
    optimizers(loaded)
    return loaded


def prepare(loaded: duckdb.DuckDBPyConnection, scratch: str) -> duckdb.DuckDBPyConnection:
    """Return a connection of this process's own, ready for a slice.

    A new one: a fork would otherwise give each engine the same random numbers.
    """
    connection = loaded.cursor()
    connection.execute(f"SET temp_directory = '{scratch}'")
    slices.begin(connection)
    connection.execute("SET enable_progress_bar = true")
    connection.execute("SET enable_progress_bar_print = false")
    connection.execute("SET progress_bar_time = 0")
    connection.execute("CALL enable_logging('HTTP')")
    return connection


@contextlib.contextmanager
def unoptimized(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Have DuckDB run what is asked as it stands.

    DuckLake reads a handful of tiny tables with long statements when it is first asked for a
    table: to find better plans for them takes longer than the worst ones do.
    """
    connection.execute(f"SET disabled_optimizers = '{optimizers(connection)}'")
    try:
        yield
    finally:
        connection.execute("RESET disabled_optimizers")


_optimizers: list[str] = []


def optimizers(connection: duckdb.DuckDBPyConnection) -> str:
    """Return the names of all optimizers, asked for once: a fork knows them."""
    if not _optimizers:
        found = connection.execute("SELECT name FROM duckdb_optimizers()").fetchall()
        _optimizers.extend(name for (name,) in found)
    return ",".join(_optimizers)


def database_of(connection: duckdb.DuckDBPyConnection) -> str:
    """Return the database that unqualified names are looked up in, before any slice is there."""
    row = connection.execute("SELECT current_database()").fetchone()
    return str(row[0]) if row else ""


class Engine:
    """The process's connection and pipes, from the first job to the last."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, reporter: Reporter, data: BinaryIO
    ) -> None:
        self.connection, self.reporter, self.data = connection, reporter, data
        self.threads, self.memory_bytes = 1, WARM_MEMORY_BYTES  # as it was loaded
        self.lakes = [slices.prepare_lake(connection) for _ in range(LAKES_AHEAD)]
        self.home = database_of(connection)
        self.attach_seconds = 0.0
        self.is_fetching = True
        """Whether any of its files is in a bucket: else there is nothing to count."""

    def begin(self, spec: dict[str, Any], copies: Sequence[int] = ()) -> None:
        """Take the limits and the slice of the first job, and keep the files it came with."""
        files = [file for one in spec["slices"] for file in one["files"]]
        self.is_fetching = not all(file["path"].startswith(COPY) for file in files)
        for file in files:
            if file["path"].startswith(COPY):
                file["path"] = path_of(copies[int(file["path"].removeprefix(COPY))])
        sandbox.limit(
            memory_bytes=spec["memory_bytes"],
            temp_bytes=spec["temp_bytes"],
            cpu_seconds=spec["cpu_seconds"],
        )
        began = time.monotonic()
        self.attach(spec)
        if spec["sql"]:  # else nobody waited for it
            self.attach_seconds = time.monotonic() - began

    def attach(self, spec: dict[str, Any]) -> None:
        """Give the engine its slices and its limits, then lock it.

        With one thread until then: DuckLake's statements about its tables are long and the tables
        tiny, and to spread them over threads takes a sixth longer.
        """
        self.connection.execute(f"SET max_temp_directory_size = '{int(spec['temp_bytes'])}B'")
        if spec["mask_key"]:
            slices.define_hmac(self.connection, bytes.fromhex(spec["mask_key"]))
        with unoptimized(self.connection):
            slices.attach(self.connection, spec["slices"], spec["search_path"], self.lakes)
        self.limit(threads=spec["threads"], memory_bytes=spec["memory_bytes"])
        slices.lock(self.connection, slices.paths(spec["slices"]))

    def limit(self, *, threads: int, memory_bytes: int) -> None:
        """Set the limits that are others so far.

        Either has DuckDB return all memory that it does not use, and take it again page by page.
        """
        if threads != self.threads:
            self.connection.execute(f"SET threads = {int(threads)}")
        if memory_bytes != self.memory_bytes:
            self.connection.execute(f"SET memory_limit = '{int(memory_bytes)}B'")
        self.threads, self.memory_bytes = threads, memory_bytes

    def rehearse(self, is_wanted: Callable[[], bool]) -> None:
        """Do once, and undo, what the first job would be the first to do, until one is there."""
        with unoptimized(self.connection):
            rehearsal.rehearse(self.connection, is_wanted)

    def work(self, spec: dict[str, Any]) -> None:
        """Carry out one job and report its outcome."""
        run = Run(self.connection, self.reporter, home=self.home, is_fetching=self.is_fetching)
        started = time.monotonic()
        progress = threading.Thread(target=run.report_progress, daemon=True)
        progress.start()
        try:
            columns, reader = arrow.ask(self.connection, spec["sql"])
            run.send(reader, self.data, spec)
        finally:
            run.finished.set()
        seconds = time.monotonic() - started
        progress.join()  # no line of this job may follow its outcome
        bytes_read = fetched.count(self.connection) if self.is_fetching else 0
        self.reporter.say(
            outcome={
                "columns": columns,
                "rows": run.rows,
                "bytes": run.bytes,
                "truncated": run.truncated,
                "bytes_read": bytes_read,
                "engine_seconds": round(seconds, 4),
                "attach_seconds": round(self.attach_seconds, 4),
                "first_row_seconds": round((run.first_row_at or started) - started, 4),
            }
        )
        self.attach_seconds = 0.0  # the next job finds the slice attached
        if self.is_fetching:
            fetched.forget(self.connection)  # nobody waits for that


def serve(
    loaded: duckdb.DuckDBPyConnection, *, jobs: socket.socket, data: int, control: int, scratch: str
) -> None:
    """Do the jobs that come, until none comes or one fails; never returns.

    Leaves without running anything at exit: no destructor may hang, and nothing is worth flushing.
    """
    reporter = Reporter(control)
    try:
        engine = Engine(prepare(loaded, scratch), reporter, os.fdopen(data, "wb"))
        engine.rehearse(lambda: bool(select.select([jobs], [], [], 0)[0]))
        received = messages.receive(jobs)
        if received is not None:
            engine.begin(*received)
        while received is not None:
            spec, _ = received
            if spec["sql"]:
                engine.work(spec)
            received = messages.receive(jobs)
    except BaseException as error:  # noqa: BLE001 - whatever it is, the parent needs its class
        reporter.say(error=type(error).__name__, text=str(error)[:ERROR_CHARACTERS])
    os._exit(0)


def main(parent_pid: int, data: int, control: int, handover: int, policy: sandbox.Policy) -> None:
    """Start cold, by `python -m`: jobs come on standard input."""
    sandbox.tie_to(parent_pid)
    loaded = load()
    sandbox.alone()
    sandbox.enter(replace(policy, descriptors=(data, control)), socket.socket(fileno=handover))
    jobs = socket.socket(fileno=sys.stdin.fileno())
    serve(loaded, jobs=jobs, data=data, control=control, scratch=policy.scratch)


if __name__ == "__main__":
    parent, pipe, line, giver = map(int, sys.argv[1:5])
    main(parent, pipe, line, giver, sandbox.Policy.of_dict(json.loads(sys.argv[5])))
