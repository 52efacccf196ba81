"""What goes into an engine process and what comes out, as plain values on both sides of the pipe.

The child imports this module too: no Django here, nothing but the standard library.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

ROWS_PER_BATCH = 2048
"""DuckDB's own vector size: a page of a result reads two batches at most."""

ERROR_CHARACTERS = 2000
"""How much of an engine's error a process may say; the redacted form is shorter still."""


COPY = "copy:"
"""What a slice names a file by that comes with the job: this and its place among them."""


RESULT_FORMAT = 1
"""Raise it where the engine comes to write the same rows otherwise: earlier results end with it."""


class Held:
    """An open file that several may hold; closed once nobody does."""

    __slots__ = ("_descriptor",)

    def __init__(self, descriptor: int) -> None:
        """Take over the descriptor."""
        self._descriptor = descriptor

    def __del__(self) -> None:
        os.close(self._descriptor)

    def fileno(self) -> int:
        """Return the descriptor, which is open for as long as this object is held."""
        return self._descriptor


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """One job: the slices are the engine's whole authority, the rest are its limits.

    Without `sql` it only brings the slices.
    `search_path` lists the (catalog, schema) pairs that make names resolve as they did for the
    plan. Sizes in bytes; `threads` is the number of DuckDB threads. `mask_key`, in hex digits, is
    what masks by HMAC use; it comes with the slices, and is never shown or written. `is_heavy`
    says that it takes long by its estimate: others have the processors first. `copies` are open
    files that the slices name by `COPY`, in order.
    """

    sql: str
    slices: list[dict[str, Any]] = field(repr=False)
    search_path: list[list[str]]
    max_rows: int
    max_bytes: int
    memory_bytes: int
    threads: int
    temp_bytes: int
    cpu_seconds: int
    is_heavy: bool = False
    mask_key: str = field(default="", repr=False)
    copies: Sequence[Held] = field(default=(), repr=False)

    def as_dict(self) -> dict[str, Any]:
        """Return the job as JSON-ready data, for the engine alone; `copies` travel beside it."""
        names = (each.name for each in fields(self) if each.name != "copies")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come. `percent` is the engine's own estimate, 0 to 100.

    `rows` and `bytes` are those of the result so far, `bytes_read` came over the network.
    """

    percent: float = 0.0
    rows: int = 0
    bytes: int = 0
    bytes_read: int = 0

    def as_dict(self) -> dict[str, float | int]:
        """Return JSON-ready data, as the API shows it."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a finished run says of itself; its rows went to the sink.

    `columns` are names with DuckDB's spelling of their types. `bytes_read` came over the network.
    """

    columns: tuple[tuple[str, str], ...]
    rows: int
    bytes: int
    truncated: bool
    bytes_read: int
    engine_seconds: float
    attach_seconds: float = 0.0
    first_row_seconds: float = 0.0


def threads_of_this_machine() -> int:
    """Return the processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def path_of(descriptor: int) -> str:
    """Return the path by which a process opens anew what it holds open (Linux)."""
    return f"/proc/self/fd/{descriptor}"
