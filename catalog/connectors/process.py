"""Starts the process that reads a customer's database, and returns what it found."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import Any

from catalog.storage.dsn import Dsn

DEADLINE_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Pulled:
    """What is in the file: `rows` rows, up to the watermark `upto`; or a `problem` in words."""

    rows: int
    upto: str | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Range:
    """Which rows: of a table, with a watermark above `after` and up to `upto` or the newest."""

    schema: str
    table: str
    watermark_column: str = ""
    after: str | None = None
    upto: str | None = None


def pull(dsn: Dsn, wanted: Range, path: Path) -> Pulled:
    """Write the rows that are wanted into a Parquet file at `path`. The process dies with this."""
    orders = {
        "conninfo": dsn.conninfo(),
        "password": dsn.password,
        "schema": wanted.schema,
        "table": wanted.table,
        "watermark_column": wanted.watermark_column,
        "after": wanted.after,
        "upto": wanted.upto,
        "path": str(path),
        "directory": str(path.parent),
    }
    process = subprocess.Popen(
        [sys.executable, "-I", "-m", "catalog.connectors.child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={},
        cwd=path.parent,
        start_new_session=True,
    )
    try:
        return _answer(process, orders)
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe:
                with suppress(OSError):
                    pipe.close()


def _answer(process: subprocess.Popen[bytes], orders: dict[str, Any]) -> Pulled:
    if process.stdin is None or process.stdout is None:
        message = "the reader has no pipes"
        raise RuntimeError(message)
    with suppress(BrokenPipeError):
        process.stdin.write(json.dumps(orders).encode() + b"\n")
        process.stdin.flush()
    deadline = Timer(DEADLINE_SECONDS, process.kill)
    deadline.start()
    try:  # stdin stays open: its end would tell the process that we are gone
        line = process.stdout.readline()
    finally:
        deadline.cancel()
    if not line:
        return Pulled(0, None, f"The reader ended without an answer ({process.wait()}).")
    found = json.loads(line)
    return Pulled(found.get("rows", 0), found.get("upto"), found.get("problem", ""))
