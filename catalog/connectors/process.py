"""Starts the process that reads a customer's source, and returns what it found."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Timer
from typing import Any

from catalog.adoption import confinement
from catalog.connectors.domain import Orders, Pulled, Range
from catalog.domain import ConnectorKind

DEADLINE_SECONDS = 3600
CONFINED = (ConnectorKind.PARQUET, ConnectorKind.SQLITE)
"""What is read from a file needs no network: it is read in the sandbox of engines."""


@dataclass(frozen=True, slots=True)
class Source:
    """What a kind of reader needs to reach its source, and what of it is secret."""

    kind: ConnectorKind
    given: dict[str, Any] = field(repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)


def pull(
    source: Source,
    wanted: Range,
    path: Path,
    *,
    only_look: bool = False,
    deadline_seconds: float = DEADLINE_SECONDS,
) -> Pulled:
    """Write the rows that are wanted into a Parquet file at `path`. The process dies with this.

    With `only_look`, write nothing and say which columns there are.
    """
    orders = Orders(
        kind=source.kind.value,
        source=source.given,
        wanted=wanted,
        path=str(path),
        directory=str(path.parent),
        secrets=tuple(filter(None, source.secrets)),
        only_look=only_look,
    )
    process = _started(orders)
    try:
        return _answer(process, orders, deadline_seconds)
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe:
                with suppress(OSError):
                    pipe.close()


def _started(orders: Orders) -> subprocess.Popen[bytes]:
    if orders.kind in CONFINED:
        return confinement.reader().start_pull(orders.directory)
    return subprocess.Popen(
        [sys.executable, "-I", "-m", "catalog.connectors.child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={},
        cwd=orders.directory,
        start_new_session=True,
    )


def _answer(process: subprocess.Popen[bytes], orders: Orders, deadline_seconds: float) -> Pulled:
    if process.stdin is None or process.stdout is None:
        message = "the reader has no pipes"
        raise RuntimeError(message)
    with suppress(BrokenPipeError):
        process.stdin.write(json.dumps(asdict(orders)).encode() + b"\n")
        process.stdin.flush()
    deadline = Timer(deadline_seconds, process.kill)
    deadline.start()
    try:  # stdin stays open: its end would tell the process that we are gone
        line = process.stdout.readline()
    finally:
        deadline.cancel()
    if not line:
        return Pulled(problem=f"The reader ended without an answer ({process.wait()}).")
    return Pulled.of_dict(json.loads(line))
