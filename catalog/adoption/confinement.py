"""Who opens a stranger's file in a process that can reach nothing else.

The sandbox belongs to the room above, which registers itself when the applications are ready.
"""

from __future__ import annotations

from subprocess import Popen
from typing import Protocol


class ConfinedReader(Protocol):
    """Starts processes that read files of strangers, and can do nothing else."""

    def start(self, kind: str, path: str, schema: str) -> Popen[bytes]:
        """Return a process that writes the metadata in the file at `path` as frames to stdout.

        `kind` is `duckdb` or `sqlite`. The caller waits for it, and kills it where it must.
        """

    def start_pull(self, directory: str) -> Popen[bytes]:
        """Return a process that takes `catalog.connectors.domain.Orders` from stdin.

        It reads and writes in `directory` alone, and answers on stdout.
        """


_registered: list[ConfinedReader] = []


def register(reader: ConfinedReader) -> None:
    """Open files by `reader` from now on."""
    _registered[:] = [reader]


def reader() -> ConfinedReader:
    """Return who opens files."""
    return _registered[0]
