"""One `up` per data directory: a file lock that the kernel drops with its holder."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO


class AlreadyRunning(RuntimeError):
    """Another `up` holds the data directory; it serves where it has published its state."""

    def __init__(self, directory: Path, state: State | None) -> None:
        self.state = state
        does, remedy = "is just starting or stopping", "Try again in a moment"
        if state is not None:
            does, remedy = f"already runs at {state.url} (pid {state.pid})", "Stop it first"
        super().__init__(
            f"Upend {does} on the data directory {directory}."
            f" {remedy}, or set UPEND_DATA_DIR to another directory."
        )


@dataclass(frozen=True, slots=True)
class State:
    """What a running installation tells others who can read its data directory."""

    pid: int
    url: str
    environment: Mapping[str, str]

    @classmethod
    def read(cls, directory: Path) -> State | None:
        """Return the state of the installation in `directory`, None where there is none."""
        try:
            return cls(**json.loads((directory / "run" / "state.json").read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def write(self, directory: Path) -> None:
        """Publish the state; it holds secrets, so only this user may read it."""
        path = directory / "run" / "state.json"
        partial = path.with_suffix(".partial")
        partial.touch(mode=0o600)
        partial.write_text(json.dumps(asdict(self), indent=1))
        partial.replace(path)


class DirectoryLock:
    """An exclusive hold on a data directory, for as long as this process lives."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._file: IO[str] | None = None

    def acquire(self) -> None:
        """Take the lock, or raise `AlreadyRunning` with what is known of the holder."""
        path = self._directory / "run" / "up.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise AlreadyRunning(self._directory, State.read(self._directory)) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        self._file = file

    def withdraw(self) -> None:
        """Say no longer that this installation serves; the directory stays its own."""
        if self._file is not None:  # else the state is another one's
            (self._directory / "run" / "state.json").unlink(missing_ok=True)

    def release(self) -> None:
        """Let go of the directory."""
        if self._file is None:
            return
        self.withdraw()
        self._file.close()
        self._file = None
