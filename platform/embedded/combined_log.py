"""What all parts say, in one stream: each line behind the name of its part."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

_COLOURS = (36, 33, 35, 32, 34, 96, 93, 95, 92, 94)
_INTERVAL_SECONDS = 0.2
_WIDTH = 14


class CombinedLog:
    """Follows log files and writes their new lines to one stream, with a prefix per part."""

    def __init__(self, out: TextIO, *, colour: bool) -> None:
        self._out = out
        self._colour = colour
        self._lock = threading.Lock()
        self._followed: dict[str, _Follower] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="combined-log", daemon=True)

    def follow(self, logs: Sequence[tuple[str, Path]]) -> None:
        """Follow these parts' logs from their present ends on."""
        with self._lock:
            for name, path in logs:
                self._followed.setdefault(name, _Follower(path))
        if not self._thread.is_alive():
            self._thread.start()

    def say(self, name: str, text: str) -> None:
        """Write lines of our own, in order with the parts'."""
        with self._lock:
            for line in text.splitlines() or [""]:
                self._write(name, line)
            self._out.flush()

    def close(self) -> None:
        """Write what is left and stop following."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(2)

    def _run(self) -> None:
        while not self._stopped.wait(_INTERVAL_SECONDS):
            self._drain()
        self._drain()

    def _drain(self) -> None:
        with self._lock:
            for name, follower in self._followed.items():
                for line in follower.new_lines():
                    self._write(name, line)
            self._out.flush()

    def _write(self, name: str, line: str) -> None:
        prefix = f"{name:<{_WIDTH}}|"
        if self._colour:
            known = sorted(self._followed)
            code = _COLOURS[known.index(name) % len(_COLOURS)] if name in known else 1
            prefix = f"\x1b[{code}m{prefix}\x1b[0m"
        self._out.write(f"{prefix} {line}\n")


class _Follower:
    """Reads the complete new lines of one growing file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = path.stat().st_size if path.exists() else 0
        self._rest = b""

    def new_lines(self) -> list[str]:
        if not self._path.exists():
            return []
        size = self._path.stat().st_size
        if size < self._offset:  # rotated
            self._offset = 0
        if size == self._offset:
            return []
        with self._path.open("rb") as file:
            file.seek(self._offset)
            data = self._rest + file.read()
            self._offset = file.tell()
        *lines, self._rest = data.split(b"\n")
        return [line.decode(errors="replace").rstrip("\r") for line in lines]
