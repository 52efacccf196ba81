"""Starts the writer's process for one job and follows it to its outcome."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from threading import Timer
from typing import Any

from django.db import connection

from catalog import storage
from catalog.models import Catalog, Job
from catalog.storage.endpoints import Unresolved
from catalog.writer import gateway, keys

DEADLINE_SECONDS = 6 * 3600.0
MEMORY_BYTES = 2 * 2**30


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended: with a `result`, or with a `problem` that a retry may mend."""

    result: dict[str, Any] | None
    problem: dict[str, Any] | None = None
    retryable: bool = False


def run(job: Job, on_progress: Callable[[dict[str, Any]], None]) -> Outcome:
    """Run one job to its end, calling `on_progress` at least every few seconds while it lives.

    The process dies with this one. A process that vanished is an outcome that may be retried.
    """
    directory = tempfile.TemporaryDirectory(prefix="upend-writer-")
    with directory as name, gateway.way(job.catalog) as way:
        process = subprocess.Popen(
            [sys.executable, "-I", "-m", "catalog.writer.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            cwd=name,
            start_new_session=True,
        )
        deadline = Timer(DEADLINE_SECONDS, process.kill)
        deadline.start()
        try:
            return told(follow(process, spec_of(job, name, way.given), on_progress), way)
        finally:
            deadline.cancel()
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe:
                    with suppress(OSError):
                        pipe.close()


def told(outcome: Outcome, way: gateway.Way) -> Outcome:
    """Return how it ended, with the reason where its requests were refused on the way."""
    if outcome.problem is None or way.refusal is None:
        return outcome
    passes = isinstance(way.refusal, storage.StorageUnreachable | Unresolved)
    return Outcome(None, way.refusal.as_dict(), retryable=passes)


def spec_of(job: Job, temp_directory: str, lake: keys.Given) -> dict[str, Any]:
    """Return the process's orders; `lake` is how it reaches the lake's files.

    They hold keys: hand them to its stdin and nowhere else.
    """
    catalog = job.catalog
    return {
        "job_id": str(job.id),
        "kind": job.kind,
        "arguments": {k: v for k, v in job.arguments.items() if k != "extensions"},
        "author": str(job.requested_by.get("label", "upend")),
        "message": str(job.arguments.get("message", job.kind)),
        "metadata_schema": catalog.metadata_schema,
        "data_path": data_path(catalog),
        "database": database(),
        "storage": {
            "lake": lake,
            "staged": keys.given(storage.hosted(), staging_prefix(catalog)),
        },
        "registered": [
            f"s3://{catalog.bucket.bucket_name}/{prefix}" for prefix in catalog.registered_prefixes
        ],
        "lock_key": int.from_bytes(catalog.id.bytes[8:], signed=True),
        "extensions": job.arguments.get("extensions", []),
        "memory_bytes": MEMORY_BYTES,
        "temp_directory": temp_directory,
    }


def staging_prefix(catalog: Catalog) -> str:
    """Return where files wait, in Upend's own bucket, until the catalog's writer takes them."""
    return f"staging/{catalog.id}/"


def data_path(catalog: Catalog) -> str:
    """Return the URL below which the lake writes its files."""
    return f"s3://{catalog.bucket.bucket_name}/{catalog.prefix}"


def database() -> dict[str, Any]:
    """Return the libpq parameters of Upend's own database."""
    given = connection.get_connection_params()
    python_only = {"cursor_factory", "context", "prepare_threshold", "row_factory"}
    return {k: v for k, v in given.items() if k not in python_only and v is not None}


def follow(
    process: subprocess.Popen[bytes],
    spec: dict[str, Any],
    on_progress: Callable[[dict[str, Any]], None],
) -> Outcome:
    """Hand a process its orders and return how it ended them."""
    if process.stdin is None or process.stdout is None:
        message = "the writer has no pipes"
        raise RuntimeError(message)
    with suppress(BrokenPipeError):  # it died at once: what it wrote, or nothing, says so
        process.stdin.write(json.dumps(spec).encode() + b"\n")
        process.stdin.flush()
    for line in process.stdout:
        message = json.loads(line)
        if "progress" in message:
            on_progress(message["progress"])
        elif "result" in message:
            return Outcome(message["result"])
        else:
            return Outcome(None, message["problem"], message["retryable"])
    return Outcome(
        None,
        {
            "code": "writer-gone",
            "detail": f"The writer's process ended without an answer ({process.wait()}).",
            "hint": "It is tried again; a commit that it made is found by its mark.",
        },
        retryable=True,
    )
