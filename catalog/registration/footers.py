"""Reads the footers of Parquet files in a bucket: fetched here, opened in the sandbox of readers.

A footer names a file's columns and counts its rows; of a large file it is all that is fetched.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from catalog import storage
from catalog.connectors import process
from catalog.connectors.domain import Columns, Range
from catalog.connectors.process import Source
from catalog.domain import ConnectorKind
from problems import Invalid

MAGIC = b"PAR1"
ENCRYPTED = b"PARE"
END_BYTES = 8
"""The length of the footer and the magic word (Parquet format, "File format")."""
TAIL_BYTES = 64 * 2**10
"""Fetched at first: most footers are shorter."""
MOST_BYTES = 16 * 2**20
AT_ONCE = 16
LOOK_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Footer:
    """What a file says of itself; `problem` is why it cannot be read."""

    columns: Columns = ()
    rows: int = 0
    problem: str = ""


def footers(store: storage.Store, files: Sequence[tuple[str, int]]) -> list[Footer]:
    """Return the footer of each file, given by key and size in bytes.

    Raises `StorageUnreachable`, or `Invalid` where the reader gave up.
    """
    if not files:
        return []
    with tempfile.TemporaryDirectory(prefix="upend-footers-") as directory:
        Path(directory).chmod(0o711)  # confined readers are users of their own
        paths = [Path(directory) / f"{number}.parquet" for number in range(len(files))]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            problems = list(pool.map(partial(_fetch, store), files, paths))
        good = [number for number, why in enumerate(problems) if not why]
        found = dict(zip(good, _read([paths[number] for number in good]), strict=True))
    return [found.get(number) or Footer(problem=why) for number, why in enumerate(problems)]


def _read(paths: Sequence[Path]) -> list[Footer]:
    if not paths:
        return []
    source = Source(ConnectorKind.PARQUET, {"files": list(map(str, paths))})
    target = paths[0].parent / "rows.parquet"
    found = process.pull(source, Range(), target, only_look=True, deadline_seconds=LOOK_SECONDS)
    if found.problem:
        raise Invalid(
            f"The files could not be looked at: {found.problem}", hint="Name fewer of them."
        )
    return [
        Footer(problem=found.bad[place])
        if place in found.bad
        else Footer(found.shapes[place].columns, found.shapes[place].rows)
        for place in range(len(paths))
    ]


def _fetch(store: storage.Store, file: tuple[str, int], path: Path) -> str:
    """Write a file that is nothing but the footer of an object; return why it has none."""
    key, size = file
    try:
        tail = store.read(key, max(0, size - TAIL_BYTES)) if size > END_BYTES else b""
        if not tail.endswith(MAGIC):
            return "it is encrypted" if tail.endswith(ENCRYPTED) else "it is no Parquet file"
        length = int.from_bytes(tail[-END_BYTES : -len(MAGIC)], "little") + END_BYTES
        if length > min(size - len(MAGIC), MOST_BYTES):
            return "its footer is too long"
        if length > len(tail):
            tail = store.read(key, size - length)
    except storage.ObjectMissing:
        return "it was removed meanwhile"
    path.write_bytes(MAGIC + tail[-length:])
    path.chmod(0o444)
    return ""
