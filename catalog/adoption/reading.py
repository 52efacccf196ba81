"""Reads a stranger's metadata: a process of its own says what it finds, this one writes it down."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from accounts import keys
from catalog import storage
from catalog.adoption import confinement
from catalog.adoption.frames import Unreadable
from catalog.adoption.loading import Loader, older
from catalog.adoption.prefixes import checked_prefix, of_data_path
from catalog.domain import AdoptionMode, AdoptionSource
from catalog.lake.paths import root
from catalog.models import Adoption
from catalog.storage.dsn import checked_dsn
from catalog.writer.process import database

MAX_LINE_BYTES = 64 * 2**20
MAX_BYTES = 16 * 2**30
MAX_FILE_BYTES = 4 * 2**30
"""More metadata than a lake of a million files has; a hostile file could hold more."""
PULSE_SECONDS = 1.0

Pulse = Callable[[int], None]
"""Called with the rows read so far, about every second; raises to end the reading."""


class Stopped(Exception):
    """Who asked for the adoption does not want it any more."""


@dataclass(frozen=True, slots=True)
class Read:
    """What was read, and where the lake's files lie."""

    prefix: str
    fingerprint: list[Any] | None
    said: dict[str, str]
    not_adopted: dict[str, int]
    rows: int


def read(adoption: Adoption, schema: str, pulse: Pulse) -> Read:
    """Read the lake's metadata into `schema`, which is made: all of it or nothing.

    Raises `Unreadable`, `Stopped`, `PrefixRefused`, `EndpointRefused` or `StorageUnreachable`.
    """
    with psycopg.connect(**database()) as session, _frames(adoption) as found:
        loader = Loader(session, schema)
        loader.begin()
        fingerprint = _load(loader, found, pulse)
        if "version" not in loader.said:
            raise older("")
        prefix = _prefix(adoption, loader)
        place = adoption.place
        place.prefix = prefix
        loader.root = root(place)
        loader.finish()
    return Read(prefix, fingerprint, loader.said, loader.not_adopted, loader.rows)


def fingerprint_of(adoption: Adoption) -> list[Any] | None:
    """Return what tells whether the source was written since; None for a file, which is not."""
    if adoption.source != AdoptionSource.POSTGRESQL:
        return None
    with _running(_postgresql(adoption, only_fingerprint=True)) as found:
        return next((frame["fingerprint"] for frame in found if "fingerprint" in frame), None)


def _load(loader: Loader, found: Iterator[dict[str, Any]], pulse: Pulse) -> list[Any] | None:
    fingerprint, heard = None, time.monotonic()
    try:
        for frame in found:
            fingerprint = frame.get("fingerprint", fingerprint)
            loader.take(frame)
            if time.monotonic() - heard > PULSE_SECONDS:
                heard = time.monotonic()
                pulse(loader.rows)
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        why = str(error).partition("\n")[0][:300]
        raise _damaged(f"PostgreSQL says of it: {why}") from error
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise _damaged("a value is not what it should be") from error
    pulse(loader.rows)
    return fingerprint


def _prefix(adoption: Adoption, loader: Loader) -> str:
    """Return where the files lie: as who adopts says, or as the lake says of itself."""
    wanted = adoption.prefix or of_data_path(adoption.bucket, loader.said.get("data_path", ""))
    if adoption.catalog_id is not None:
        return adoption.prefix
    if not wanted:
        raise Unreadable(
            "prefix-needed",
            f"The lake says that its files are in {loader.said.get('data_path', '')!r}, which is"
            f" not in bucket {adoption.bucket.name}.",
            "Copy them into the bucket and give the prefix below which they lie.",
        )
    return checked_prefix(adoption.bucket, wanted, AdoptionMode(adoption.mode))


@contextmanager
def _frames(adoption: Adoption) -> Iterator[Iterator[dict[str, Any]]]:
    if adoption.source == AdoptionSource.POSTGRESQL:
        with _running(_postgresql(adoption)) as found:
            yield found
        return
    with tempfile.TemporaryDirectory(prefix="upend-adopt-") as directory:
        path = Path(directory) / "metadata"
        _fetch(adoption, path)
        Path(directory).chmod(0o711)  # the confined process is a user of its own
        path.chmod(0o444)
        kind, schema = adoption.source, adoption.source_schema
        with _running(confinement.reader().start(kind, str(path), schema)) as found:
            yield found


def _fetch(adoption: Adoption, path: Path) -> None:
    """Copy the metadata file here, from where it was uploaded to or lies in the bucket."""
    is_ours = adoption.staged_key.startswith("staging/")
    store = storage.hosted() if is_ours else storage.of(adoption.bucket)
    if store.size(adoption.staged_key) > MAX_FILE_BYTES:
        raise Unreadable("metadata-too-large", "The metadata file has more than 4 GB.")
    with path.open("wb") as file:
        for chunk in store.stream(adoption.staged_key):
            file.write(chunk)


def _postgresql(adoption: Adoption, *, only_fingerprint: bool = False) -> subprocess.Popen[bytes]:
    """Start the process that reads the customer's database; the address is checked anew."""
    dsn = checked_dsn(keys.unseal(bytes(adoption.sealed_dsn), adoption.binding).decode())
    orders = {
        "conninfo": dsn.conninfo(),
        "password": dsn.password,
        "schema": adoption.source_schema,
        "only_fingerprint": only_fingerprint,
    }
    process = subprocess.Popen(
        [sys.executable, "-I", "-m", "catalog.adoption.postgresql"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={},
        cwd="/",
        start_new_session=True,
    )
    assert process.stdin is not None  # noqa: S101 - asked for above
    with suppress(BrokenPipeError):  # it died at once: what it wrote, or nothing, says so
        process.stdin.write(json.dumps(orders).encode() + b"\n")
        process.stdin.flush()
    return process


@contextmanager
def _running(process: subprocess.Popen[bytes]) -> Iterator[Iterator[dict[str, Any]]]:
    """Yield what the process says; it is gone afterwards, whatever happened."""
    try:
        yield _said(process)
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe:
                with suppress(OSError):
                    pipe.close()


def _said(process: subprocess.Popen[bytes]) -> Iterator[dict[str, Any]]:
    """Yield the frames up to the end that the process itself declares. Raises `Unreadable`."""
    assert process.stdout is not None  # noqa: S101 - started with a pipe
    total = 0
    while line := process.stdout.readline(MAX_LINE_BYTES):
        total += len(line)
        if total > MAX_BYTES or not line.endswith(b"\n"):
            raise _damaged("there is more of it than any lake has")
        frame = json.loads(line)
        if "problem" in frame:
            told = frame["problem"]
            raise Unreadable(
                str(told["code"]), str(told["detail"])[:1000], str(told.get("hint", ""))[:1000]
            )
        if "done" in frame:
            return
        yield frame
    raise Unreadable(
        "reader-gone",
        f"The process that read the metadata ended early ({process.wait()}).",
        "If it happens again, the file is damaged, or larger than a reader may hold.",
    )


def _damaged(why: str) -> Unreadable:
    return Unreadable(
        "metadata-damaged",
        f"The metadata is not what DuckLake 1.0 writes: {why}.",
        "Can DuckDB read every table of the lake? Restore the metadata from a backup.",
    )
