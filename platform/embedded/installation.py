"""A whole Upend on one machine: what is started, in which order, with which settings."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from embedded import programs
from embedded.combined_log import CombinedLog
from embedded.keyring import Keyring
from embedded.lock import DirectoryLock, State
from embedded.parts import backing_services
from embedded.ports import PortBook, is_free
from embedded.process import Child
from embedded.program import Program, run_steps
from embedded.service import Service, start_all, stop_all
from embedded.supervisor import Supervisor

USUAL_PORTS = range(8000, 8010)


class PortTaken(RuntimeError):
    """The port that was asked for cannot be listened on."""


class Installation:
    """Starts, supervises and stops everything, from one thread, on one data directory.

    `given` may hold `UPEND_*` settings that replace a part or the public address.
    """

    def __init__(
        self,
        directory: Path,
        *,
        given: Mapping[str, str],
        log: CombinedLog,
        host: str = "127.0.0.1",
        port: int | None = None,
    ) -> None:
        self.directory = directory
        self.url = ""
        self.settings: dict[str, str] = {}
        self._given = given
        self._log = log
        self._host, self._port = host, port
        self._run = uuid.uuid4().hex
        self._lock = DirectoryLock(directory)
        self._started: list[Service] = []

    def start(self) -> None:
        """Bring every part up in order, each checked before those that need it.

        Raises `AlreadyRunning`, `PortTaken`, `ServiceFailed` or `StepFailed`; call `stop` then
        too, for what had been started.
        """
        began = time.monotonic()
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock.acquire()
        self._recover()
        keys, ports = Keyring(self.directory / "keys"), PortBook(self.directory / "ports.json")
        backing = backing_services(
            self.directory, run=self._run, environment=self._given, keys=keys, ports=ports
        )
        self._start(backing)
        port = self._web_port(ports)
        self.settings = self._settings(keys, backing, port)
        self.run_steps(
            self.step("migrate", "migrate", "--no-input"),
            self.step("static", "collectstatic", "--no-input"),
        )
        self._start(
            programs.all_programs(
                directory=self.directory,
                run=self._run,
                settings=self.settings,
                host=self._host,
                port=port,
            )
        )
        State(os.getpid(), self.url, self._own_settings()).write(self.directory)
        self.say(f"ready at {self.url} ({time.monotonic() - began:.1f} s)")

    def step(self, name: str, *arguments: str) -> Program:
        """Return a management command with this installation's settings."""
        return programs.django(
            name, *arguments, directory=self.directory, run=self._run, settings=self.settings
        )

    def run_steps(self, *steps: Program) -> None:
        """Run steps side by side to their end, their output in the combined log."""
        self._log.follow([(step.name, step.log) for step in steps])
        run_steps(steps)

    def supervise(self) -> None:
        """Keep every part alive until interrupted.

        Raises `ServiceFailed` for a part that keeps ending.
        """
        supervisor = Supervisor(self._started, self.say)
        while True:
            supervisor.look()
            time.sleep(0.2)

    def stop(self) -> bool:
        """Stop everything in reverse order; tell whether anything had been started."""
        any_started = bool(self._started)
        self._lock.withdraw()  # before the first part ends: nobody is to rely on the others
        try:
            stop_all(self._started)
        finally:
            self._started.clear()
            self._lock.release()
        return any_started

    def say(self, text: str) -> None:
        """Write a line of our own into the combined log."""
        self._log.say("upend", text)

    def _start(self, services: Sequence[Service]) -> None:
        self._log.follow([(service.name, service.log) for service in services])
        self._started += services
        start_all(services, on_ready=lambda ready: self.say(f"{ready.name} is ready"))

    def _recover(self) -> None:
        """End what a killed run left: its latest parts first, its database last."""
        pid_files = sorted(self.directory.glob("run/*.pid"), key=lambda f: -f.stat().st_mtime)
        for pid_file in pid_files:
            if Child(pid_file.stem, self.directory, run=self._run).recover():
                self.say(f"ended {pid_file.stem}, left over from a run that was killed")

    def _web_port(self, ports: PortBook) -> int:
        if self._port is None:
            return ports.choose("web", preferred=USUAL_PORTS)
        if not is_free(self._port, self._host):
            message = f"{self._host}:{self._port} is taken by another program; choose another port"
            raise PortTaken(message)
        return self._port

    def _settings(self, keys: Keyring, backing: Sequence[Service], port: int) -> dict[str, str]:
        self.url = self._given.get("UPEND_PUBLIC_URL") or f"http://{self._host}:{port}"
        chosen = {
            **keys.environment(),
            "UPEND_DATA_DIR": str(self.directory),
            "UPEND_LOG_FORMAT": "text",
            "UPEND_PUBLIC_URL": self.url,
            "UPEND_ALLOWED_HOSTS": f"127.0.0.1,localhost,[::1],{urlsplit(self.url).hostname}",
        }
        given = {name: value for name, value in self._given.items() if value}
        settings = {**programs.base_environment(), **chosen, **given}
        for service in backing:
            settings |= service.environment
        return settings

    def _own_settings(self) -> dict[str, str]:
        return {name: v for name, v in sorted(self.settings.items()) if name.startswith("UPEND_")}
