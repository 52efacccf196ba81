"""One long-lived child process: its pid file, its log, and an end that cannot be escaped."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

RUN_MARK = "UPEND_EMBEDDED_RUN"
"""Environment variable that every process of one run inherits, so that orphans can be told."""

_PR_SET_PDEATHSIG = 1
_CLOCK_SLACK_SECONDS = 2.0
_LOG_LIMIT_BYTES = 20 * 2**20


@dataclass(frozen=True, slots=True)
class Identity:
    """What proves that a pid is still the process we started: pids are reused."""

    pid: int
    created_at: float
    run: str

    @classmethod
    def of(cls, pid: int, run: str) -> Identity:
        """Return the identity of the live process `pid`."""
        return cls(pid, psutil.Process(pid).create_time(), run)

    @classmethod
    def read(cls, path: Path) -> Identity | None:
        """Return what a pid file holds; None where there is none or it is torn."""
        try:
            return cls(**json.loads(path.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def write(self, path: Path) -> None:
        """Keep the identity in a pid file."""
        path.write_text(json.dumps(asdict(self)))

    def process(self) -> psutil.Process | None:
        """Return the process if it still is the one meant."""
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created_at) < _CLOCK_SLACK_SECONDS
            if same and process.status() != psutil.STATUS_ZOMBIE:
                return process
        return None

    def family(self) -> list[psutil.Process]:
        """Return the process with its descendants, and orphans of its session and run."""
        found: dict[int, psutil.Process] = {}
        if main := self.process():
            with contextlib.suppress(psutil.NoSuchProcess):
                found = {p.pid: p for p in [*main.children(recursive=True), main]}
        for orphan in _members(self.pid):
            if orphan.pid not in found and _carries(orphan, self.run):
                found[orphan.pid] = orphan
        return list(found.values())


class Child:
    """A command that runs until it is stopped, in a session of its own.

    `death_signal` is what the kernel sends it when the thread that spawned it dies, however it
    dies, so spawn from the main thread only. Where the kernel cannot (not Linux), the pid file
    lets the next run find it.
    """

    def __init__(
        self,
        name: str,
        directory: Path,
        *,
        run: str,
        stop_signals: Sequence[signal.Signals] = (signal.SIGTERM,),
        death_signal: signal.Signals = signal.SIGTERM,
        user: str | None = None,
    ) -> None:
        self.name = name
        self.log = directory / "logs" / f"{name}.log"
        self.pid_file = directory / "run" / f"{name}.pid"
        self._directory = directory
        self._run = run
        self._stop_signals = stop_signals
        self._death_signal = death_signal
        self._user = user
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Return the pid while the process lives."""
        return self._popen.pid if self._popen and self._popen.poll() is None else None

    @property
    def exit_code(self) -> int | None:
        """Return how the last process ended; None while it runs or was never started."""
        return self._popen.poll() if self._popen else None

    def spawn(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start `command` with its output in the log; end leftovers of a killed run first."""
        self.recover()
        if self._popen is not None:  # reap the one that ended before
            self._popen.wait(10)
        for path in (self.log, self.pid_file):
            path.parent.mkdir(parents=True, exist_ok=True)
        _rotate(self.log)
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                command,
                cwd=self._directory,  # not the caller's: `python -m` puts it on the path
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**environment, RUN_MARK: self._run},
                start_new_session=True,
                user=self._user,
                group=self._user,
                extra_groups=[] if self._user else None,
                preexec_fn=_die_with_parent(self._death_signal),  # noqa: PLW1509 - a raw system call, no lock
            )
        with contextlib.suppress(psutil.NoSuchProcess):  # it may already be gone: see exit_code
            Identity.of(self._popen.pid, self._run).write(self.pid_file)

    def stop(self, timeout_seconds: float = 10.0) -> None:
        """End the process and everything it started: politely first, by SIGKILL at last."""
        if self._popen is None:
            return
        identity = Identity.read(self.pid_file)
        family = identity.family() if identity else []
        for number in self._stop_signals:
            if self._popen.poll() is not None:
                break
            self._popen.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(timeout_seconds)
        _kill(p for p in family if p.pid != self._popen.pid)
        if self._popen.poll() is None:
            self._popen.kill()
        self._popen.wait(10)
        self._popen = None
        self.pid_file.unlink(missing_ok=True)

    def recover(self) -> bool:
        """End what a killed run left behind under this name; tell whether there was anything.

        Only processes whose identity is proven are signalled; a stale pid file is just removed.
        """
        identity = Identity.read(self.pid_file)
        family = identity.family() if identity else []
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(self._stop_signals[0])
        _, alive = psutil.wait_procs(family, timeout=5)
        _kill(alive)
        self.pid_file.unlink(missing_ok=True)
        return bool(family)


def _kill(processes: Iterable[psutil.Process]) -> None:
    processes = list(processes)
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()  # psutil refuses when the pid was reused
    psutil.wait_procs(processes, timeout=5)


def _members(session: int) -> list[psutil.Process]:
    members = []
    for process in psutil.process_iter():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getsid(process.pid) == session:
                members.append(process)
    return members


def _carries(process: psutil.Process, run: str) -> bool:
    try:
        return bool(process.environ().get(RUN_MARK) == run)
    except psutil.Error:
        return False


def _rotate(log: Path) -> None:
    if log.exists() and log.stat().st_size > _LOG_LIMIT_BYTES:
        log.replace(log.with_suffix(".log.1"))


def _die_with_parent(number: signal.Signals) -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl  # resolved before the fork: the child may not allocate much
    parent = os.getpid()

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, int(number))
        if os.getppid() != parent:  # it died between fork and prctl
            os._exit(1)

    return ask
