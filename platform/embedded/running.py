"""A handle on a whole Upend that runs as its own process, for tests, benchmarks and demos."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from embedded import programs
from embedded.lock import State
from embedded.ports import PortBook
from embedded.process import Identity
from embedded.program import Program
from embedded.service import ServiceFailed


class RunningStack:
    """`manage.py up` on a directory of its own; ends with this process, however it ends."""

    def __init__(self, directory: Path, given: Mapping[str, str] | None = None) -> None:
        self.directory = directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Two that start at once would both find the usual port free: each has one by chance.
        PortBook(directory / "ports.json").choose("web")
        # This process's own settings are another installation's: only `given` ones count.
        inherited = {k: v for k, v in programs.base_environment().items() if k[:6] != "UPEND_"}
        self._supervisor = Program(
            "up",
            directory / "supervisor",
            run=f"stack-{os.getpid()}",
            command=[sys.executable, "-m", "django", "up"],
            settings={**inherited, **(given or {}), "UPEND_DATA_DIR": str(directory)},
            stop_signals=(signal.SIGINT,),
        )

    def start(self, timeout_seconds: float = 300.0) -> None:
        """Start everything and wait until it serves. Raises `ServiceFailed`."""
        (self.directory / "supervisor").mkdir(exist_ok=True)
        self._supervisor.start()
        deadline = time.monotonic() + timeout_seconds
        while not self._is_serving():
            if self._supervisor.pid is None:
                raise ServiceFailed(self._supervisor, "ended while starting")
            if time.monotonic() > deadline:
                raise ServiceFailed(self._supervisor, f"did not serve in {timeout_seconds:.0f} s")
            time.sleep(0.1)

    def stop(self) -> None:
        """Stop everything, in order."""
        self._supervisor.stop(timeout_seconds=120)

    def restart(self) -> None:
        """Stop everything and start it again on the same data."""
        self.stop()
        self.start()

    @property
    def log(self) -> Path:
        """Return the file with the combined log."""
        return self._supervisor.log

    @property
    def supervisor_pid(self) -> int | None:
        """Return the pid of `up` itself while it lives."""
        return self._supervisor.pid

    @property
    def url(self) -> str:
        """Return the address of the console and the API."""
        return self._state().url

    @property
    def environment(self) -> dict[str, str]:
        """Return an environment in which management commands act on this installation."""
        return {**programs.base_environment(), **self._state().environment}

    @property
    def processes(self) -> dict[str, int]:
        """Return the pids of the live parts by name, such as `worker-query`."""
        found: dict[str, int] = {}
        for pid_file in self.directory.glob("run/*.pid"):
            identity = Identity.read(pid_file)
            if identity and identity.process():
                found[pid_file.stem] = identity.pid
        return found

    def kill(self, name: str) -> int:
        """End one part by SIGKILL, as a crash would, and return its pid; `up` restarts it."""
        identity = Identity.read(self.directory / "run" / f"{name}.pid")
        process = identity.process() if identity else None
        if process is None:
            message = f"{name} is not running"
            raise LookupError(message)
        process.kill()
        return int(process.pid)

    def wait_restarted(self, name: str, old_pid: int, timeout_seconds: float = 300.0) -> int:
        """Wait until the part has another pid than `old_pid`, and return it."""
        deadline = time.monotonic() + timeout_seconds
        while (pid := self.processes.get(name, old_pid)) == old_pid:
            if time.monotonic() > deadline:
                message = f"{name} was not started again within {timeout_seconds:.0f} s"
                raise TimeoutError(message)
            time.sleep(0.1)
        return pid

    def _is_serving(self) -> bool:
        state = State.read(self.directory)
        return state is not None and state.pid == self._supervisor.pid

    def _state(self) -> State:
        state = State.read(self.directory)
        if state is None:
            message = f"nothing runs in {self.directory}"
            raise LookupError(message)
        return state
