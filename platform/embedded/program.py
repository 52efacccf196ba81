"""A part of Upend itself, or a one-off step of it, run as a process of its own."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from embedded.process import Child
from embedded.service import Service, ServiceFailed, last_lines

__all__ = ["Program", "StepFailed", "run_steps"]


class Program:
    """A command that serves until stopped; `check` tells whether it is ready."""

    environment: Mapping[str, str] = {}

    def __init__(
        self,
        name: str,
        directory: Path,
        *,
        run: str,
        command: Sequence[str],
        settings: Mapping[str, str],
        check: Callable[[], bool] = lambda: True,
        stop_signals: Sequence[signal.Signals] = (signal.SIGTERM,),
        death_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.name = name
        self.command = command
        self._settings = settings
        self._check = check
        self._child = Child(
            name, directory, run=run, stop_signals=stop_signals, death_signal=death_signal
        )
        self.log = self._child.log

    @property
    def pid(self) -> int | None:
        """Return the main process's pid while it lives."""
        return self._child.pid

    @property
    def exit_code(self) -> int | None:
        """Return how the process ended; None while it runs."""
        return self._child.exit_code

    def start(self) -> None:
        """Spawn the command."""
        self._child.spawn(self.command, self._settings)

    def is_ready(self) -> bool:
        """Tell whether the process lives and its check passes."""
        return self.pid is not None and self._check()

    def stop(self, timeout_seconds: float = 6.0) -> None:
        """End the process: each stop signal gets some seconds, then SIGKILL."""
        self._child.stop(timeout_seconds)


class StepFailed(RuntimeError):
    """A one-off step, such as migrating, did not succeed."""

    def __init__(self, step: Service, exit_code: int) -> None:
        tail = "\n".join(f"    {line}" for line in last_lines(step.log))
        super().__init__(
            f"{step.name} failed with exit code {exit_code}. Its log is {step.log}; "
            f"it ends:\n{tail}"
        )


def run_steps(steps: Sequence[Program], timeout_seconds: float = 900.0) -> None:
    """Run commands that end by themselves, side by side, and wait for all.

    Raises `StepFailed` for the first that fails and `ServiceFailed` at the deadline.
    """
    deadline = time.monotonic() + timeout_seconds
    try:
        for step in steps:
            step.start()
        for step in steps:
            while (exit_code := step.exit_code) is None:
                if time.monotonic() > deadline:
                    raise ServiceFailed(step, f"took longer than {timeout_seconds:.0f} s")
                time.sleep(0.05)
            if exit_code != 0:
                raise StepFailed(step, exit_code)
    finally:
        for step in steps:
            step.stop()
