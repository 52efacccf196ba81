"""The one place that says in which store a file of a query lies, and where it is read.

A table's files are in the bucket of its catalog, whoever owns that; extracts are in Upend's own.
An engine on a server reads by an address that is signed there, or the copy that its worker keeps.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any, ClassVar, Literal

from django.utils import timezone

from catalog import storage
from catalog.domain import BucketKind
from catalog.maintenance.holds import WRITTEN_BY_DUCKLAKE
from catalog.models import Catalog
from execution.engine import reach
from execution.engine.domain import COPY, Held
from execution.engine.filecache import Source
from execution.engine.messages import MOST_FILES
from execution.models import GrantedFile
from execution.slices import SliceFile
from problems import Problem

REDIRECT_SECONDS = 60
WINDOW_SECONDS = 3600
"""Everyone who asks within the hour gets the same address: caches are kept by it."""


class KeysTooShort(Problem):
    """The keys that were lent for a bucket end before the run may."""

    code: ClassVar[str] = "bucket-keys-too-short"
    status: ClassVar[int] = 422
    title: ClassVar[str] = "The bucket's keys do not last as long as the query may"


class Sealed:
    """Gives each file of a slice an address that is good for `seconds`.

    It is `COPY` and a place in `copies` where this process keeps one for its engines. Raises
    `KeysTooShort` where the file's bucket has keys that were lent for less than that.
    """

    def __init__(self, *, seconds: int) -> None:
        self.copies: list[Held] = []
        self._seconds = seconds
        self._cache = reach.file_cache()

    def __call__(self, file: SliceFile) -> str:
        """Return the address of one file."""
        _check_lasts(file, self._seconds)
        if (copy := self._copy(file)) is not None:
            self.copies.append(copy)
            return f"{COPY}{len(self.copies) - 1}"
        return file.store.presign(
            file.key, valid_seconds=self._seconds, window_seconds=WINDOW_SECONDS
        )

    def _copy(self, file: SliceFile) -> Held | None:
        if self._cache is None or len(self.copies) == MOST_FILES or not _is_final(file):
            return None
        return self._cache.copy(_source(file), seconds=self._seconds)


def _is_final(file: SliceFile) -> bool:
    """Tell whether the object is never written again: DuckLake gives each of its files a name.

    Files of others may be, and extracts are read by devices.
    """
    return file.extract_id is None and bool(WRITTEN_BY_DUCKLAKE.fullmatch(file.key))


def _source(file: SliceFile) -> Source:
    """Return how a file is copied. Who reads it is a catalog, by the keys that it has now."""
    location = file.store.location
    identity = (
        str(file.catalog_id),
        location.endpoint,
        location.bucket,
        file.store.credentials.access_key_id,
        file.key,
        str(file.size_bytes),
    )
    return Source(
        identity,
        file.size_bytes,
        fetch=partial(file.store.fetch, file.key),
        tag=partial(file.store.tag, file.key),
    )


def redirect(file: GrantedFile, method: Literal["GET", "HEAD"]) -> str:
    """Return the address by which a device reads a file of its grant for the next minute."""
    store = storage.hosted() if file.extract_id else storage.of_catalog(file.catalog)
    return store.presign(file.key, valid_seconds=REDIRECT_SECONDS, public=True, method=method)


def explained(problem: Problem, record: Mapping[str, Any]) -> Problem:
    """Return what is wrong with a customer's bucket that a run read from, else `problem` itself.

    An engine holds no keys and cannot tell why a file is refused; its buckets are asked here.
    """
    if not isinstance(problem, storage.StorageUnreachable):
        return problem
    ids = {entry["catalog_id"] for entry in record.get("tables", [])}
    rows = Catalog.objects.filter(id__in=ids, bucket__kind=BucketKind.CUSTOMER)
    for catalog in rows.select_related("bucket"):
        if (why := _refusal(catalog)) is not None:
            why.__cause__ = problem.__cause__
            return why
    return problem


def _refusal(catalog: Catalog) -> Problem | None:
    """Return why a catalog's bucket cannot be read, named; None where it can."""
    try:
        store = storage.of_catalog(catalog)
        with store.translated():
            store.client.list_objects_v2(Bucket=store.bucket, Prefix=catalog.prefix, MaxKeys=1)
    except Problem as found:
        return storage.StorageUnreachable(
            f"The bucket {catalog.bucket.name}, in which {catalog.name} lies, cannot be read:"
            f" {found.detail}",
            hint="Its owners see what is wrong, and what to do, by checking it on the page"
            " Buckets.",
        )
    return None


def _check_lasts(file: SliceFile, seconds: int) -> None:
    """Refuse now what would fail in the middle of the run."""
    expires_at = file.store.credentials.expires_at
    if expires_at is None or expires_at >= timezone.now() + timedelta(seconds=seconds):
        return
    raise KeysTooShort(
        f"The keys lent for the bucket {file.bucket_name} end at {expires_at:%H:%M:%S} UTC, and"
        f" the query may run for {seconds:,} s.",
        hint="Let the bucket's role lend keys for longer, or lower the workspace's query timeout.",
    )
