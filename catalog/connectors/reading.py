"""Reads a run's rows into a file on this machine, whichever kind of source they come from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from catalog import storage
from catalog.connectors import kept, process
from catalog.connectors.domain import Pulled, Range
from catalog.connectors.process import Source
from catalog.connectors.sources import reader_of
from catalog.domain import ConnectorKind, ConnectorMode
from catalog.models import Bucket, Connector, ConnectorFile, ConnectorRun
from problems import Conflict

PARTITION = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}=[A-Za-z0-9_.:+ -]{1,120}")
"""A folder whose name is a column and its value, as Hive and its followers write partitions."""


class BucketGone(Conflict):
    """The bucket that a connector reads is connected no more."""

    code = "bucket-gone"
    title = "The bucket was disconnected"


def read(run: ConnectorRun, directory: Path) -> Pulled:
    """Write what is new into `rows.parquet` in the directory, and say what it is.

    Raises `Problem` where the source cannot be reached.
    """
    connector = run.connector
    target = directory / "rows.parquet"
    if connector.kind == ConnectorKind.PARQUET:
        return _read_files(run, target)
    if connector.kind == ConnectorKind.SQLITE:
        return _read_sqlite(run, target)
    return process.pull(reader_of(connector), _range(run), target)


def bucket_of(connector: Connector) -> Bucket:
    """Return the bucket that is read. Raises `BucketGone`."""
    bucket = connector.bucket
    if bucket is None or bucket.disconnected_at is not None:
        name = bucket.name if bucket else "It"
        raise BucketGone(
            f"The bucket {name} was disconnected.",
            hint="Delete the connector, or connect the bucket and create another.",
        )
    return bucket


def _range(run: ConnectorRun) -> Range:
    connector = run.connector
    is_whole = connector.mode == ConnectorMode.REPLACE
    return Range(
        connector.source_schema,
        connector.source_table,
        "" if is_whole else connector.watermark_column,
        run.after,
        run.upto,
    )


def _read_sqlite(run: ConnectorRun, target: Path) -> Pulled:
    """Read a table of a file that is fetched; one that is as it was is not read again.

    A whole table is known by its file's state, a growing one by its own watermark.
    """
    connector = run.connector
    bucket, key = bucket_of(connector), connector.source["path"]
    path = target.parent / "database"
    if connector.mode != ConnectorMode.REPLACE:
        why = fetch(storage.of(bucket), key, path)
        return Pulled(problem=f"{key}: {why}") if why else _of_sqlite(path, _range(run), target)
    found = [one for one in kept.listed(bucket, key) if one.key == key]
    upto = kept.digest(found)
    if upto == run.after:
        return Pulled(upto=upto, is_same=True)
    if why := fetch(storage.of(bucket), key, path):
        return Pulled(problem=f"{key}: {why}")
    return replace(_of_sqlite(path, _range(run), target), upto=upto)


def _of_sqlite(path: Path, wanted: Range, target: Path) -> Pulled:
    return process.pull(Source(ConnectorKind.SQLITE, {"files": [str(path)]}), wanted, target)


def _read_files(run: ConnectorRun, target: Path) -> Pulled:
    connector = run.connector
    bucket = bucket_of(connector)
    found = kept.listed(bucket, connector.source["path"])
    if connector.mode == ConnectorMode.REPLACE:
        upto = kept.digest(found)
        if upto == run.after:
            return Pulled(upto=upto, is_same=True)
        kept.check_size(found)
        pulled = _pulled(bucket, [one.key for one in found], target)
        return _whole(pulled, [one.key for one in found], upto)
    files = kept.assigned(run, found)
    pulled = _pulled(bucket, [one.key for one in files], target) if files else Pulled()
    return _noted(run, files, pulled)


def _whole(pulled: Pulled, names: Sequence[str], upto: str) -> Pulled:
    """Return the answer for all files together: none of them may be left out."""
    for place, why in pulled.bad.items():
        return Pulled(problem=f"{names[place]}: {why}")
    if pulled.left:
        return Pulled(problem=f"{names[pulled.left[0]]} has other columns than {names[0]}.")
    return Pulled(pulled.rows, upto, pulled.problem)


def _noted(run: ConnectorRun, files: Sequence[ConnectorFile], pulled: Pulled) -> Pulled:
    """Keep what became of each file before the others are queued."""
    if pulled.problem:
        return pulled
    run.problem = kept.note(files, pulled.bad)
    run.save(update_fields=["problem"])
    if pulled.left:
        kept.give_back(run, [files[place] for place in pulled.left])
    return pulled


def _pulled(bucket: Bucket, names: Sequence[str], target: Path) -> Pulled:
    """Fetch objects and have them read in the sandbox."""
    store, paths, gone = storage.of(bucket), [], {}
    for place, key in enumerate(names):
        path = _place_of(target.parent, place, key)
        if why := fetch(store, key, path):
            gone[place] = why
        paths.append(str(path))
    found = process.pull(Source(ConnectorKind.PARQUET, {"files": paths}), Range(), target)
    found.bad.update(gone)
    return found


def _place_of(directory: Path, place: int, key: str) -> Path:
    """Return where an object goes: in a folder of its own, below those that name partitions."""
    folder = directory / f"file-{place}"
    for part in key.split("/")[:-1]:
        if PARTITION.fullmatch(part):
            folder /= part
    folder.mkdir(parents=True)
    return folder / "content.parquet"


def fetch(store: storage.Store, key: str, path: Path) -> str:
    """Copy an object here, readable for the sandbox; return why not, where that is its own fault.

    Raises `StorageUnreachable`.
    """
    size = 0
    with path.open("wb") as file:
        path.chmod(0o444)
        try:
            with store.translated():
                for chunk in store.stream(key):
                    size += len(chunk)
                    if size > kept.MAX_BYTES:
                        file.truncate(0)
                        return f"It has more than {kept.MAX_BYTES / 1e9:.1f} GB."
                    file.write(chunk)
        except storage.ObjectMissing:
            return "It was removed before it could be read."
    return ""
