"""Tries a source before a connector is made of it: whether it is reached, and what it holds."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from accounts.domain import Actor
from catalog import storage
from catalog.connectors import kept, process
from catalog.connectors.domain import Pulled, Range
from catalog.connectors.process import Source
from catalog.connectors.reading import fetch
from catalog.connectors.sources import (
    CheckedSource,
    GivenSource,
    checked_source,
    database_reader,
)
from catalog.domain import ConnectorKind
from catalog.models import Bucket, Catalog
from catalog.services.connectors import authorize_source
from problems import Invalid

Columns = tuple[tuple[str, str], ...]
LOOK_SECONDS = 20.0
LOOK_BYTES = 64 * 2**20
"""A larger file is not fetched while somebody waits for a page."""


class SourceUnreadable(Invalid):
    """The source was reached or not, and cannot be read as it was named."""

    code = "source-unreadable"
    title = "The source cannot be read"


@dataclass(frozen=True, slots=True)
class Look:
    """What a source holds. Of files, how many fit and how large they are."""

    columns: Columns
    files: int | None = None
    size_bytes: int | None = None


def check_source(*, actor: Actor, catalog: Catalog, source: GivenSource) -> Look:
    """Reach a source and return its columns; nothing is kept of it.

    Raises as `create_connector` does, and `SourceUnreadable`.
    """
    authorize_source(actor, catalog, source.bucket)
    checked = checked_source(source)
    with tempfile.TemporaryDirectory(prefix="upend-connector-") as directory:
        Path(directory).chmod(0o711)  # confined readers are users of their own
        look = _looked(checked, Path(directory))
    _check_watermark(source.watermark_column, look)
    return look


def _looked(checked: CheckedSource, directory: Path) -> Look:
    given = checked.given
    if given.bucket is not None:
        return _in_bucket(given.kind, given.bucket, checked, directory)
    return Look(_columns(database_reader(given.kind, given.dsn), checked, directory))


def _in_bucket(
    kind: ConnectorKind, bucket: Bucket, checked: CheckedSource, directory: Path
) -> Look:
    path = checked.shown["path"]
    found = kept.listed(bucket, path)
    if not found:
        raise SourceUnreadable(
            f"No object of {bucket.name} fits {path}.", hint="Is the path spelled as in the bucket?"
        )
    size = sum(one.size_bytes for one in found)
    newest = found[-1]
    if newest.size_bytes > LOOK_BYTES:
        return Look((), len(found), size)
    file = directory / "content"
    if why := fetch(storage.of(bucket), newest.key, file):
        raise SourceUnreadable(f"{newest.key}: {why}")
    columns = _columns(Source(kind, {"files": [str(file)]}), checked, directory)
    return Look(columns, len(found), size)


def _columns(
    source: Source, checked: CheckedSource, directory: Path
) -> tuple[tuple[str, str], ...]:
    wanted = Range(checked.given.schema, checked.given.table)
    found: Pulled = process.pull(
        source, wanted, directory / "rows.parquet", only_look=True, deadline_seconds=LOOK_SECONDS
    )
    if why := found.problem or found.bad.get(0):
        raise SourceUnreadable(why, hint="Nothing was kept. Correct it and check again.")
    return found.columns


def _check_watermark(column: str, look: Look) -> None:
    names = [name for name, _ in look.columns]
    if column and names and column not in names:
        raise SourceUnreadable(
            f"There is no column {column}.", hint=f"The columns are {', '.join(names[:40])}."
        )
