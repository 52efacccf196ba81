"""Keeps the writer of a catalog's rows attached while rows come: a group is then one commit long.

Starting a writer takes about half a second, a small commit a fiftieth. The process holds the
catalog's lock only while it works, so that other jobs' writers take their turn.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from uuid import UUID

from catalog.models import Catalog, Job
from catalog.writer import process
from catalog.writer.gateway import Way, open_way
from catalog.writer.process import Outcome

IDLE_SECONDS = 20.0
"""How long a writer is used again after its last group; it ends by itself a little later."""
OF_ONE_JOB = frozenset({"arguments", "author", "job_id", "kind", "message"})


class KeptWriter:
    """One process that is attached to one lake."""

    def __init__(self, attachment: dict[str, Any], directory: str, way: Way) -> None:
        self.attachment = attachment
        self.directory = directory
        self.way = way
        self.used_at = time.monotonic()
        self.is_busy = False
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-m", "catalog.writer.serving"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            cwd=directory,
            start_new_session=True,
        )

    @property
    def is_usable(self) -> bool:
        """Tell whether it lives, and will for long enough to take another order."""
        is_idle = time.monotonic() - self.used_at > IDLE_SECONDS
        return self._process.poll() is None and not is_idle

    def run(self, spec: dict[str, Any], on_progress: Callable[[dict[str, Any]], None]) -> Outcome:
        """Hand over one order and follow it to its outcome."""
        deadline = threading.Timer(process.DEADLINE_SECONDS, self._process.kill)
        deadline.daemon = True
        deadline.start()
        self.is_busy = True
        try:
            return process.told(process.follow(self._process, spec, on_progress), self.way)
        finally:
            deadline.cancel()
            self.is_busy, self.used_at = False, time.monotonic()

    def end(self) -> None:
        """Kill the process, and wait until it is gone."""
        self._process.kill()
        self._process.wait()
        self.way.close()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                with suppress(OSError):
                    pipe.close()
        shutil.rmtree(self.directory, ignore_errors=True)


_kept: dict[UUID, KeptWriter] = {}
_lock = threading.Lock()


def run(
    job: Job, arguments: dict[str, Any], on_progress: Callable[[dict[str, Any]], None]
) -> Outcome:
    """Run one job in the catalog's kept writer, a new one where there is none.

    The caller holds the catalog's lock. One that failed, or whose bucket is reached otherwise by
    now, is ended.
    """
    catalog = job.catalog
    spec = _spec(job, arguments)
    attachment = {k: v for k, v in spec.items() if k not in OF_ONE_JOB | {"temp_directory"}}
    attachment |= {"storage": dict(spec["storage"]), "reached": str(catalog.bucket.version)}
    end_idle()
    writer = _usable(catalog, attachment)
    spec["temp_directory"] = writer.directory
    spec["storage"]["lake"] = writer.way.given
    outcome = writer.run(spec, on_progress)
    if outcome.problem is not None:
        end(catalog.id)
    return outcome


def session_name(catalog: Catalog) -> str:
    """Return how the database sessions of the catalog's kept writer are named."""
    return f"upend-rows-{catalog.id}"


def end(catalog_id: UUID) -> None:
    """End the catalog's kept writer, if this process has one."""
    with _lock:
        writer = _kept.pop(catalog_id, None)
    if writer is not None:
        writer.end()


def end_idle() -> None:
    """End the writers of this process that nobody will use again."""
    with _lock:
        over = [key for key, one in _kept.items() if not one.is_busy and not one.is_usable]
        idle = [_kept.pop(key) for key in over]
    for one in idle:
        one.end()


def end_all() -> None:
    """End every kept writer of this process."""
    for catalog_id in list(_kept):
        end(catalog_id)


def _spec(job: Job, arguments: dict[str, Any]) -> dict[str, Any]:
    spec = process.spec_of(job, "", {})
    named = spec["database"] | {"application_name": session_name(job.catalog)}
    message = str(arguments.pop("message"))
    return spec | {"arguments": arguments, "database": named, "message": message}


def _usable(catalog: Catalog, attachment: dict[str, Any]) -> KeptWriter:
    with _lock:
        writer = _kept.get(catalog.id)
    if writer is not None and writer.is_usable and writer.attachment == attachment:
        return writer
    end(catalog.id)
    way = open_way(catalog)
    writer = KeptWriter(attachment, tempfile.mkdtemp(prefix="upend-writer-"), way)
    with _lock:
        _kept[catalog.id] = writer
    return writer
