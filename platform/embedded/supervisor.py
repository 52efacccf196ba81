"""Keeps started parts alive: restarts one that ends, gives up on one that keeps ending."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from embedded.service import Service, ServiceFailed

WINDOW_SECONDS = 60.0
ENDS_ALLOWED = 5
LONGEST_DELAY_SECONDS = 8.0


@dataclass(slots=True)
class RestartPolicy:
    """When to start a part again: at once, then after growing delays, at last never."""

    ends: list[float] = field(default_factory=list)

    def delay_after_end(self, now: float) -> float | None:
        """Return the seconds to wait after an end at `now`; None says to give up."""
        self.ends = [*(end for end in self.ends if now - end < WINDOW_SECONDS), now]
        if len(self.ends) > ENDS_ALLOWED:
            return None
        return min(LONGEST_DELAY_SECONDS, 0.5 * 2.0 ** (len(self.ends) - 1)) - 0.5


class Supervisor:
    """Watches started services from the thread that spawned them (see `Child`)."""

    def __init__(self, services: Sequence[Service], report: Callable[[str], None]) -> None:
        self._services = list(services)
        self._report = report
        self._policies = {service.name: RestartPolicy() for service in services}
        self._due: dict[str, float] = {}
        self._recovering: set[str] = set()

    def look(self) -> None:
        """Look at every service once; call it a few times a second.

        Raises `ServiceFailed` for a service that keeps ending.
        """
        now = time.monotonic()
        for service in self._services:
            if service.pid is None:
                self._revive(service, now)
            elif service.name in self._recovering and service.is_ready():
                self._recovering.discard(service.name)
                self._report(f"{service.name} is back (pid {service.pid})")

    def _revive(self, service: Service, now: float) -> None:
        if service.name not in self._due:
            delay = self._policies[service.name].delay_after_end(now)
            if delay is None:
                what = f"ended more than {ENDS_ALLOWED} times within {WINDOW_SECONDS:.0f} s"
                raise ServiceFailed(service, what)
            self._due[service.name] = now + delay
            self._report(f"{service.name} ended; starting it again in {delay:.1f} s")
        if now >= self._due[service.name]:
            del self._due[service.name]
            self._recovering.add(service.name)
            service.start()
