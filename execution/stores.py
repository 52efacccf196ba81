"""The one place that says in which store a file of a query lies, and signs its address there.

A table's files are in the bucket of its catalog, whoever owns that; extracts are in Upend's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, ClassVar, Literal

from django.utils import timezone

from catalog import storage
from catalog.domain import BucketKind
from catalog.models import Catalog
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


def sealed(*, seconds: int) -> Callable[[SliceFile], str]:
    """Return what gives each file of a slice an address that is good for `seconds`.

    The address raises `KeysTooShort` where its bucket's keys were lent for less than that.
    """

    def address(file: SliceFile) -> str:
        _check_lasts(file, seconds)
        return file.store.presign(file.key, valid_seconds=seconds, window_seconds=WINDOW_SECONDS)

    return address


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
