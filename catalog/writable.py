"""Which catalogs take writes: asked before anything is staged, and again by the queue itself."""

from __future__ import annotations

from catalog.models import Bucket, Catalog
from catalog.storage import BucketReadOnly
from problems import Conflict


class CatalogReadOnly(Conflict):
    """The catalog takes no writes; nothing was changed."""

    code = "catalog-read-only"
    title = "The catalog is read-only"


def check_writable(catalog: Catalog) -> None:
    """Raise `CatalogReadOnly` where the catalog was archived, dropped or adopted read-only.

    Raises `BucketReadOnly` where its bucket was connected to be read only.
    """
    if catalog.dropped_at is not None:
        raise CatalogReadOnly(f"Catalog {catalog.name} was dropped.", hint="Restore it first.")
    if catalog.is_read_only:
        raise CatalogReadOnly(
            f"Catalog {catalog.name} follows a lake that others write.",
            hint="Write where it is kept; or adopt it again as managed, and write it here only.",
        )
    if catalog.archived_at is not None:
        raise CatalogReadOnly(
            f"Catalog {catalog.name} is archived: it is read, and written no more.",
            hint="Who manages it can take it out of the archive on its settings page.",
        )
    check_bucket_writable(catalog.bucket)


def check_bucket_writable(bucket: Bucket) -> None:
    """Raise `BucketReadOnly` where nothing may be written to the bucket."""
    if bucket.is_read_only:
        raise BucketReadOnly(
            f"The bucket {bucket.name} was connected to be read only; nothing was written.",
            hint="Write to a catalog in another bucket. Owners change it on the page Buckets.",
        )


def is_writable(catalog: Catalog) -> bool:
    """Tell whether `check_writable` would let a write pass."""
    try:
        check_writable(catalog)
    except (BucketReadOnly, CatalogReadOnly):
        return False
    return True
