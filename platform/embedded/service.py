"""What every part that Upend can start for itself has in common."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

LOG_TAIL_LINES = 15
START_SECONDS = 180.0
"""For a part that takes a few seconds: one that cannot start ends, and is noticed at once."""
_ENDS_ALLOWED = 3


class Service(Protocol):
    """A part that is started, asked for its health, and stopped."""

    @property
    def name(self) -> str:
        """Return the short name that logs and errors use."""

    @property
    def log(self) -> Path:
        """Return the file that holds what the part said."""

    @property
    def pid(self) -> int | None:
        """Return the main process's pid while it lives."""

    @property
    def environment(self) -> Mapping[str, str]:
        """Return the settings that make Upend use this part."""

    def start(self) -> None:
        """Spawn the part's process; do not wait for it to be ready."""

    def is_ready(self) -> bool:
        """Ask the part, within a second or so, whether it serves."""

    def stop(self) -> None:
        """End the part and all its processes, within a bounded time."""


class ServiceFailed(RuntimeError):
    """A part ended or never became ready; says which, why, and where its log is."""

    def __init__(self, service: Service, what: str) -> None:
        self.service = service
        tail = "\n".join(f"    {line}" for line in last_lines(service.log))
        super().__init__(f"{service.name} {what}. Its log is {service.log}; it ends:\n{tail}")


def start_all(
    services: Sequence[Service],
    timeout_seconds: float = START_SECONDS,
    on_ready: Callable[[Service], None] = lambda _: None,
) -> None:
    """Start `services` side by side and wait until each is ready, in their order.

    Raises `ServiceFailed`, after stopping all of them, where one does not become ready.
    """
    try:
        for service in services:
            service.start()
        for service in services:
            wait_ready(service, timeout_seconds)
            on_ready(service)
    except BaseException:
        stop_all(services)
        raise


def wait_ready(service: Service, timeout_seconds: float) -> None:
    """Wait until `service` is ready; start it again where it ends at once (a port was taken).

    Raises `ServiceFailed` at the third end or at the deadline.
    """
    deadline, ends = time.monotonic() + timeout_seconds, 0
    while not service.is_ready():
        if service.pid is None:
            ends += 1
            if ends == _ENDS_ALLOWED:
                raise ServiceFailed(service, "ended three times while starting")
            service.start()
        if time.monotonic() > deadline:
            raise ServiceFailed(service, f"was not ready within {timeout_seconds:.0f} s")
        time.sleep(0.05)


def stop_all(services: Sequence[Service]) -> None:
    """Stop `services` in reverse order; a failure to stop one does not keep the others."""
    failures: list[Exception] = []
    for service in reversed(services):
        try:
            service.stop()
        except Exception as failure:  # noqa: BLE001 - raised below, with the others
            failures.append(failure)
    if failures:
        raise ExceptionGroup("some parts could not be stopped", failures)


def last_lines(log: Path, count: int = LOG_TAIL_LINES) -> list[str]:
    """Return the last lines of a log file, fewer where it has fewer."""
    if not log.exists():
        return []
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 32_768))
        return file.read().decode(errors="replace").splitlines()[-count:]
