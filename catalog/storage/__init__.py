"""Object storage: one `Store` per bucket, and Upend's own, which holds results and hosted lakes.

`hosted()` is Upend's own, by `settings.S3`; `of(bucket)` is the store of a registered bucket.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from django.conf import settings

from catalog.domain import AddressingStyle, BucketKind
from catalog.models import Bucket, Catalog
from catalog.storage.customer import CredentialsMissing, store_of
from catalog.storage.location import Credentials, Location
from catalog.storage.problems import BucketReadOnly, ObjectMissing, StorageUnreachable
from catalog.storage.store import Listed, Store

__all__ = [
    "AddressingStyle",
    "BucketReadOnly",
    "Credentials",
    "CredentialsMissing",
    "Listed",
    "Location",
    "ObjectMissing",
    "StorageUnreachable",
    "Store",
    "hosted",
    "of",
    "of_catalog",
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
        guarded=False,
    )


def of(bucket: Bucket, prefix: str = "", readable: Sequence[str] = ()) -> Store:
    """Return the store of a registered bucket.

    Keys that a role lends reach no further than `prefix`, the bucket's own where it is empty:
    pass a catalog's. Below the prefixes in `readable` they read only. Raises `CredentialsMissing`
    where the bucket has no key.
    """
    if bucket.kind == BucketKind.HOSTED:
        return hosted()
    return store_of(bucket, prefix, tuple(readable))


def of_catalog(catalog: Catalog) -> Store:
    """Return the store of a catalog's files; lent keys reach those and no others."""
    return of(catalog.bucket, catalog.prefix, catalog.registered_prefixes)
