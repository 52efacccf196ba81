"""Runs a verified manifest on this machine: the same slice, the same SQL, the same engine."""

from __future__ import annotations

import math
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import duckdb
import pyarrow as pa

from upend import machine, slices
from upend.errors import QueryCancelled, QueryFailed, Unreachable, UpendError
from upend.manifest import Manifest
from upend.result import Column, arrow_form, columns_of

OUT_OF_MEMORY = "local-memory"
SHARE_OF_MEMORY = 0.7
LEAST_TELLING_BYTES, LEAST_TELLING_SECONDS = 10**6, 0.01
"""A fetch smaller or shorter than this says nothing about the link."""
POLL_SECONDS = 0.05
ROWS_PER_BATCH = 122_880
GIVE_UP_SECONDS = 1.0
"""How long an interrupted engine may take to stop: a few functions do not look at interrupts.

After that the run is over for its caller. The command line ends its process, and the engine with
it; in a process of the caller's own the engine's thread goes on until the function returns.
"""


@dataclass(slots=True)
class LocalRun:
    """One run, as it went: what the receipt says."""

    table: pa.Table | None = None
    columns: list[Column] = field(default_factory=list)
    bytes_read: int = 0
    engine_seconds: float = 0.0
    run_seconds: float = 0.0
    memory_bytes: int = 0
    link_bytes_per_second: int | None = None
    truncated: bool = False
    error: UpendError | None = None


OnProgress = Callable[[float], None]


def run(
    manifest: Manifest, sql: str, *, on_progress: OnProgress, deadline: float | None = None
) -> LocalRun:
    """Run `sql` on the slices of `manifest`; failures are in the returned run, not raised.

    `on_progress` hears percentages. `deadline` is on the monotonic clock. Only KeyboardInterrupt
    is handled like a failure too: the run says `cancelled`.
    """
    outcome = LocalRun(memory_bytes=_budget(manifest))
    started = time.monotonic()
    deadline = _earlier(deadline, started, manifest.limit("timeout_seconds"))
    with tempfile.TemporaryDirectory(prefix="upend-", ignore_cleanup_errors=True) as spill:
        job = _Job(manifest, sql, spill)
        try:
            job.follow(on_progress, deadline)
        except KeyboardInterrupt:
            job.stop()
            outcome.error = _cancelled()
        else:
            outcome.table, outcome.columns = job.table, job.columns
            outcome.truncated = job.truncated
            outcome.error = _failure(job.error) if job.error else None
        outcome.bytes_read, outcome.link_bytes_per_second = job.close()
        outcome.engine_seconds = job.engine_seconds
    return outcome


def _earlier(deadline: float | None, started: float, limit: int | None) -> float | None:
    """Return the caller's deadline or the server's, whichever comes first."""
    ends = [moment for moment in (deadline, started + limit if limit else None) if moment]
    return min(ends, default=None)


def _budget(manifest: Manifest) -> int:
    """Return the memory that the run may use: a share of the machine's, or the server's limit."""
    own = int(machine.memory_bytes() * SHARE_OF_MEMORY)
    return min(own, manifest.limit("memory_bytes") or own)


def _engine(manifest: Manifest, spill: str) -> duckdb.DuckDBPyConnection:
    _check_version(manifest)
    con = slices.connect(
        memory_bytes=_budget(manifest),
        threads=machine.cores(),
        temp_directory=spill,
    )
    con.execute("SET arrow_lossless_conversion=true")
    con.execute("SET enable_progress_bar=true")
    con.execute("SET enable_progress_bar_print=false")
    con.execute("SET progress_bar_time=0")
    con.execute("CALL enable_logging('HTTP', storage := 'memory')")
    body = manifest.body
    slices.present_bearer(con, base_url=manifest.base_url, bearer=manifest.bearer)
    slices.attach(con, body["slices"], body["query"]["search_path"])
    slices.lock(con, manifest.paths)
    return con


def _check_version(manifest: Manifest) -> None:
    wanted = manifest.body["engine"]["duckdb"]
    if duckdb.__version__ != wanted:
        raise QueryFailed(
            f"The server runs DuckDB {wanted}, this machine has {duckdb.__version__}: "
            "rows could differ, so nothing ran.",
            code="engine-version",
            hint=f"pip install duckdb=={wanted} ; or run with --on server.",
        )


class _Job:
    """The engine in a thread of its own, so that this one can show progress and hear Ctrl-C."""

    def __init__(self, manifest: Manifest, sql: str, spill: str) -> None:
        self.table: pa.Table | None = None
        self.columns: list[Column] = []
        self.truncated = False
        self.error: Exception | None = None
        self._ready_at = math.inf
        self._manifest = manifest
        self._sql = sql
        self._spill = spill
        self._con: duckdb.DuckDBPyConnection | None = None
        self._limits = (_limit(manifest, "max_rows"), _limit(manifest, "max_bytes"))
        # Not Thread.join: before Python 3.13 Ctrl-C in it marks a thread that lives as ended.
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="upend-engine", daemon=True)

    def _work(self) -> None:
        try:
            self._con = _engine(self._manifest, self._spill)
            self._ready_at = time.monotonic()
            relation = self._con.sql(self._sql)
            self.columns = columns_of(relation)
            self._read(arrow_form(relation).to_arrow_reader(ROWS_PER_BATCH))
        except Exception as error:  # noqa: BLE001  # carried to the thread that waits
            self.error = error
        finally:
            self._ended.set()

    def _read(self, reader: pa.RecordBatchReader) -> None:
        """Keep rows until the end, or until the next row or byte would be one too many."""
        batches: list[pa.RecordBatch] = []
        rows, size = self._limits
        for batch in reader:
            room = rows if batch.nbytes <= size else min(rows, batch.num_rows * size / batch.nbytes)
            if batch.num_rows > room:
                batches.append(batch.slice(0, int(room)))
                self.truncated = True
                break
            batches.append(batch)
            rows, size = rows - batch.num_rows, size - batch.nbytes
        self.table = pa.Table.from_batches(batches, schema=reader.schema)

    @property
    def is_over(self) -> bool:
        return self._ended.is_set()

    @property
    def engine_seconds(self) -> float:
        """Return how long the query itself ran, as the server counts it: without the set-up."""
        return max(0.0, time.monotonic() - self._ready_at)

    def follow(self, on_progress: OnProgress, deadline: float | None) -> None:
        """Wait for the end, telling the progress; past `deadline` stop with a clear error."""
        self._thread.start()
        while not self.is_over:
            self._ended.wait(POLL_SECONDS)
            on_progress(max(0.0, self._con.query_progress()) if self._con else 0.0)
            if deadline and time.monotonic() > deadline:
                self.stop()
                self.error = timed_out()
                return

    def stop(self) -> None:
        """Interrupt the engine until it stops, or until it evidently will not."""
        until = time.monotonic() + GIVE_UP_SECONDS
        while not self.is_over and time.monotonic() < until:
            if self._con:
                self._con.interrupt()
            self._ended.wait(POLL_SECONDS)

    def close(self) -> tuple[int, int | None]:
        """Close an engine that has ended; return the bytes it fetched, and in a second."""
        if self._con is None or not self.is_over:
            return 0, None
        fetched, seconds = _fetched(self._con)
        self._con.close()
        tells = fetched >= LEAST_TELLING_BYTES and seconds >= LEAST_TELLING_SECONDS
        return fetched, int(fetched / seconds) if tells else None


def _limit(manifest: Manifest, name: str) -> float:
    value = manifest.limit(name)
    return math.inf if value is None else value


def _fetched(con: duckdb.DuckDBPyConnection) -> tuple[int, float]:
    """Return the bytes of all bodies that the engine fetched, and the seconds with one under way.

    From its own HTTP log. Requests overlap: each adds what reaches beyond all before it.
    """
    sql = """
        WITH fetched AS (
            SELECT TRY_CAST(response.headers['Content-Length'] AS BIGINT) AS size,
                epoch_ms(request.start_time) AS starts, starts + request.duration_ms AS ends
            FROM duckdb_logs_parsed('HTTP')
            WHERE request.type = 'GET' AND response.status IN ('OK_200', 'PartialContent_206'))
        SELECT coalesce(sum(size), 0),
            coalesce(sum(greatest(0, ends - greatest(starts, before))), 0)
        FROM (SELECT *, coalesce(max(ends) OVER (
            ORDER BY starts, ends ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before
            FROM fetched)
    """
    try:
        row = con.execute(sql).fetchone()
    except (duckdb.OutOfMemoryException, duckdb.FatalException):  # it cannot answer any more
        return 0, 0.0
    return (int(row[0]), int(row[1]) / 1000) if row else (0, 0.0)


def _failure(error: Exception) -> UpendError:
    """Return what to tell a person about an exception of the engine."""
    if isinstance(error, UpendError):
        return error
    if isinstance(error, duckdb.InterruptException):
        return _cancelled()
    if isinstance(error, duckdb.OutOfMemoryException | MemoryError):
        return QueryFailed(
            "The query needs more memory than this machine gives it.",
            code=OUT_OF_MEMORY,
            hint="Run it with --on server, or read less.",
        )
    if isinstance(error, duckdb.HTTPException | duckdb.IOException):
        return Unreachable(
            f"A file of the lake could not be read: {_first_line(error)}",
            code="files-unreachable",
            hint="Run it with --on server.",
        )
    if isinstance(error, duckdb.Error):
        return QueryFailed(_first_line(error), code="engine-error", hint="")
    return QueryFailed(
        f"This client could not run the manifest: {type(error).__name__}: {_first_line(error)}",
        code="client-error",
        hint="Run it with --on server, and tell an administrator.",
    )


def timed_out() -> QueryFailed:
    """Return the error of a query that took longer than its caller would wait."""
    return QueryFailed(
        "The query took longer than the time limit and was cancelled.",
        code="timeout",
        hint="Give it more time (--timeout), or read less.",
    )


def _cancelled() -> QueryCancelled:
    return QueryCancelled("The query was cancelled.", code="cancelled")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
