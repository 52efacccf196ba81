"""Where the processes of one machine keep their numbers, so that one scrape sees all of them.

With `UPEND_METRICS_DIR` every process writes files of its own there (prometheus-client's
multiprocess mode) and any of them can answer for all; without, a process knows only its own. This
must be decided before prometheus_client is imported, so import metrics from this package only.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

DIRECTORY = Path(found) if (found := os.environ.get("UPEND_METRICS_DIR")) else None
if DIRECTORY is not None:
    DIRECTORY.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(DIRECTORY)

from prometheus_client import (  # noqa: E402 - it reads the variable above when imported
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    generate_latest,
)
from prometheus_client.core import Metric  # noqa: E402 - as above
from prometheus_client.mmap_dict import MmapedDict  # noqa: E402 - as above
from prometheus_client.multiprocess import MultiProcessCollector  # noqa: E402 - as above

CONTENT_TYPE = CONTENT_TYPE_LATEST
ENDED = 0
"""No process has this number: the files that hold what ended ones had counted."""

_readers: list[Callable[[], Iterable[Metric]]] = []
_scraping = threading.Lock()


def at_scrape(reader: Callable[[], Iterable[Metric]]) -> Callable[[], Iterable[Metric]]:
    """Have `reader` asked for its metrics at each scrape of the web process, such as a queue's."""
    _readers.append(reader)
    return reader


class _Reader:
    """Shows prometheus_client what the registered readers find."""

    def collect(self) -> Iterator[Metric]:
        for reader in _readers:
            yield from reader()


def exposition(*, with_readers: bool) -> bytes:
    """Return the metrics of this machine's processes in Prometheus's text format."""
    registry = REGISTRY
    if DIRECTORY is not None:
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=str(DIRECTORY))
    with _scraping, _alone_in(DIRECTORY):
        if DIRECTORY is not None:
            keep_of_the_ended(DIRECTORY)
        text: bytes = generate_latest(registry)
    if with_readers:
        state = CollectorRegistry()
        state.register(_Reader())
        text += generate_latest(state)
    return text


@contextlib.contextmanager
def _alone_in(directory: Path | None) -> Iterator[None]:
    """Keep other processes from reading or gathering files meanwhile."""
    if directory is None:
        yield
        return
    with (directory / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def keep_of_the_ended(directory: Path) -> None:
    """Add up what ended processes have counted in one file of each kind; forget their gauges.

    A counter must never go down because a process ended: a rate over it would show a burst that
    never was. And the files of a worker that restarts daily must not pile up for ever.
    """
    for kind in ("counter", "histogram"):
        dead = [file for file in directory.glob(f"{kind}_*.db") if not _is_alive(_pid_of(file))]
        kept = directory / f"{kind}_{ENDED}.db"
        if [file for file in dead if file != kept]:
            _add_up(dead, kept)
    for file in directory.glob("gauge_live*.db"):
        if not _is_alive(_pid_of(file)):
            file.unlink()


def _add_up(files: list[Path], kept: Path) -> None:
    totals: dict[str, float] = {}
    for file in files:
        for key, value, _, _ in MmapedDict.read_all_values_from_file(str(file)):
            totals[key] = totals.get(key, 0.0) + value
    growing = kept.with_suffix(".new")
    growing.unlink(missing_ok=True)
    values = MmapedDict(str(growing))
    for key, total in totals.items():
        values.write_value(key, total, 0.0)
    values.close()
    growing.replace(kept)
    for file in files:
        if file != kept:
            file.unlink()


def _pid_of(file: Path) -> int:
    return int(file.stem.rpartition("_")[2])


def _is_alive(pid: int) -> bool:
    """Tell whether a process has that number: a reused one only makes the files wait."""
    if pid == ENDED:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
