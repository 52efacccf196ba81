"""The kept writer's process: stays attached to one live lake and commits groups of rows.

It runs trusted code only; no tenant SQL comes here. Its keys arrive on stdin, never in arguments
or the environment. While it works it holds the catalog's advisory lock, as every writer does.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import duckdb
import psycopg

from catalog.writer import files
from catalog.writer.child import emit, report
from catalog.writer.parent import PARENT_IS_GONE
from catalog.writer.problems import BadInput, redacted
from catalog.writer.rows import Rows
from catalog.writer.session import Lake, Spec

IDLE_SECONDS = 30.0


def main() -> None:
    """Carry out one order after the other, until none comes for a while or the parent is gone."""
    orders: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_read, args=(orders,), daemon=True).start()
    rows: Rows | None = None
    session: psycopg.Connection | None = None
    while True:
        try:
            spec = Spec.of(json.loads(orders.get(timeout=IDLE_SECONDS)))
        except queue.Empty:
            _leave(0)
        try:
            if session is None or session.closed:
                session = psycopg.connect(**spec.database, autocommit=True)
            with _locked(session, spec.lock_key):
                rows = rows or Rows(Lake.attach(spec))
                emit({"result": _carried_out(rows, spec, session)})
        except Exception as error:  # noqa: BLE001 - whatever it was, the batches' rows must say so
            problem = _explained(error, spec)
            emit({"problem": problem.as_dict(), "retryable": problem.retryable})


def _carried_out(rows: Rows, spec: Spec, session: psycopg.Connection) -> dict[str, Any]:
    stop = threading.Event()
    threading.Thread(target=report, args=(rows.lake, stop), daemon=True).start()
    try:
        return rows.commit(spec, session)
    finally:
        stop.set()


def _explained(error: Exception, spec: Spec) -> BadInput:
    if isinstance(error, BadInput):
        return error
    text = redacted(str(error), spec.secrets)
    if isinstance(error, duckdb.TransactionException) and "onflict" in text:
        first = text.partition("\n")[0]
        return BadInput("commit-conflict", first, hint="It is tried again.", retryable=True)
    if isinstance(error, duckdb.Error | psycopg.Error):
        return files.explained(error, spec)
    return BadInput("writer-error", f"{type(error).__name__}: {text}")


@contextmanager
def _locked(session: psycopg.Connection, key: int) -> Iterator[None]:
    """Hold the catalog's lock, which ends with the session however this process ends."""
    session.execute("SELECT pg_advisory_lock(%s)", [key])
    try:
        yield
    finally:
        session.execute("SELECT pg_advisory_unlock(%s)", [key])


def _read(orders: queue.Queue[str]) -> None:
    """Pass orders on; end at once when the parent does: it holds the other end of stdin."""
    for line in sys.stdin:
        orders.put(line)
    _leave(PARENT_IS_GONE)


def _leave(code: int) -> None:
    """End without waiting for anything, and leave no scratch behind."""
    shutil.rmtree(os.getcwd(), ignore_errors=True)  # noqa: PTH109 - its own scratch directory
    os._exit(code)


if __name__ == "__main__":
    main()
