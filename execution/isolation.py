"""What confines this installation's engines and binders, for those who operate it.

Each process that starts engines or binders probes its own host once. Workers tell theirs to
whoever asks the broker, again and again, so that what is shown is never older than its expiry.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import redis
import structlog
from django.conf import settings

from execution.engine import reach
from execution.sandbox import IsolationIncomplete, Report

REFRESH_SECONDS = 30.0
EXPIRY_SECONDS = 120
KEY = "upend:isolation:"
TIMEOUT_SECONDS = 2

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Reported:
    """What holds the processes that `process` starts; `at` is a Unix time."""

    process: str
    report: Report
    at: float

    @property
    def seconds_ago(self) -> int:
        """Return how long ago this was true."""
        return max(0, int(time.time() - self.at))

    def as_dict(self) -> dict[str, Any]:
        """Return what anyone may know: states and remedies, no addresses."""
        return {
            "process": self.process,
            "is_full": self.report.is_full,
            "layers": [
                {"name": layer.name, "state": layer.state.value, "remedy": layer.remedy}
                for layer in self.report.layers
            ],
        }


def here() -> Report:
    """Return what this process's host gives; the first call starts a process to find out."""
    return reach.probed().report


def announce() -> None:
    """Log what holds, and raise `IsolationIncomplete` where the operator requires more."""
    report = here()
    states = {layer.name: layer.state.value for layer in report.layers}
    log.info(
        "isolation", full=report.is_full, **{k.replace(" ", "_"): v for k, v in states.items()}
    )
    for layer in report.missing:
        log.warning("isolation_layer_missing", **_words(layer.name, layer.detail, layer.remedy))
    require()


def require() -> None:
    """Raise `IsolationIncomplete` where full isolation is required and this host lacks some."""
    if settings.REQUIRE_FULL_ISOLATION and not here().is_full:
        raise IsolationIncomplete(here())


def tell(worker: str) -> None:
    """Leave this worker's report at the broker for a while; one that is away hears it later."""
    entry = json.dumps({"report": here().as_list(), "at": time.time()})
    try:
        with _broker() as broker:
            broker.set(f"{KEY}{worker}", entry, ex=EXPIRY_SECONDS)
    except (redis.RedisError, OSError) as error:
        log.warning("isolation_not_told", error=type(error).__name__)


def reports() -> list[Reported]:
    """Return this process's report and those of the workers that live; only ours without broker."""
    own = Reported("web", here(), time.time())
    try:
        with _broker() as broker:
            keys = sorted(broker.scan_iter(match=f"{KEY}*", count=100))
            found = [(key, broker.get(key)) for key in keys]
    except (redis.RedisError, OSError):
        found = []
    return [own, *(_read(key, text) for key, text in found if text)]


def _read(key: bytes, text: bytes) -> Reported:
    entry = json.loads(text)
    name = key.decode().removeprefix(KEY)
    return Reported(name, Report.of_list(entry["report"]), float(entry["at"]))


def _words(layer: str, detail: str, remedy: str) -> dict[str, str]:
    return {"layer": layer, "detail": detail, "remedy": remedy}


@lru_cache(maxsize=1)
def _pool() -> redis.ConnectionPool:
    return redis.ConnectionPool.from_url(
        settings.BROKER_URL,
        socket_connect_timeout=TIMEOUT_SECONDS,
        socket_timeout=TIMEOUT_SECONDS,
    )


def _broker() -> redis.Redis:
    return redis.Redis(connection_pool=_pool())
