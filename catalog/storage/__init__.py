"""Object storage: one `Store` per bucket, and Upend's own, which holds results and hosted lakes.

`hosted()` is Upend's own, by `settings.S3`; `of(bucket)` is the store of a registered bucket.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from django.conf import settings

from catalog.domain import BucketKind
from catalog.storage.location import AddressingStyle, Credentials, Location
from catalog.storage.problems import ObjectMissing, StorageUnreachable
from catalog.storage.store import Store

if TYPE_CHECKING:
    from catalog.models import Bucket

__all__ = [
    "AddressingStyle",
    "Credentials",
    "Location",
    "ObjectMissing",
    "StorageUnreachable",
    "Store",
    "hosted",
    "of",
]

HINT = "Is the storage running, and are UPEND_S3_ENDPOINT and its keys right?"


@lru_cache(maxsize=1)
def hosted() -> Store:
    """Return the store of Upend's own bucket."""
    location = Location(
        endpoint=settings.S3["endpoint"],
        region=settings.S3["region"],
        bucket=settings.S3["bucket"],
        public_endpoint=settings.S3["public_endpoint"],
    )
    return Store(
        location,
        lambda: Credentials(settings.S3["access_key_id"], settings.S3["secret_access_key"]),
        HINT,
    )


def of(bucket: Bucket) -> Store:
    """Return the store of a registered bucket."""
    if bucket.kind == BucketKind.HOSTED:
        return hosted()
    message = f"{bucket.kind} buckets cannot be used yet"
    raise NotImplementedError(message)
