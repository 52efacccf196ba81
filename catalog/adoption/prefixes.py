"""Where an adopted lake may lie: never where another tenant or another writer keeps files."""

from __future__ import annotations

from urllib.parse import urlsplit

from catalog.domain import AdoptionMode, BucketKind
from catalog.lake.paths import UNSAFE
from catalog.models import Bucket, Catalog
from problems import Invalid


class PrefixRefused(Invalid):
    """The lake cannot be adopted from there."""

    code = "prefix-refused"
    title = "The prefix cannot be used"


def below(bucket: Bucket) -> str:
    """Return the prefix below which lakes of the bucket may lie.

    Upend's own bucket is everybody's: there each workspace has a place for lakes of its own.
    """
    if bucket.kind == BucketKind.HOSTED:
        return f"adopted/{bucket.workspace_id}/"
    return bucket.prefix


def checked_prefix(bucket: Bucket, prefix: str, mode: AdoptionMode) -> str:
    """Return `prefix` as Upend keeps it. Raises `PrefixRefused`."""
    wanted = checked_place(bucket, prefix)
    _refuse_overlap(bucket, wanted, mode)
    return wanted


def checked_place(bucket: Bucket, prefix: str) -> str:
    """Return a prefix that the bucket's keys may be used below. Raises `PrefixRefused`."""
    wanted = prefix if not prefix or prefix.endswith("/") else f"{prefix}/"
    segments = wanted.split("/")[:-1]
    if any(part in {"", ".", ".."} for part in segments) or UNSAFE.intersection(wanted):
        raise PrefixRefused(
            f"{prefix[:200]!r} is no prefix.", hint="Give one such as lakes/sales/, without ..,"
        )
    if not wanted.startswith(below(bucket)):
        raise PrefixRefused(
            f"{wanted!r} is not below {below(bucket)!r}, where bucket {bucket.name} begins.",
            hint="Give the prefix below which the files lie.",
        )
    return wanted


def of_data_path(bucket: Bucket, data_path: str) -> str:
    """Return the prefix that a lake's own data path names in the bucket; empty where it is none."""
    parts = urlsplit(data_path)
    if parts.scheme != "s3" or parts.netloc != bucket.bucket_name:
        return ""
    return parts.path.lstrip("/")


def _refuse_overlap(bucket: Bucket, prefix: str, mode: AdoptionMode) -> None:
    """Refuse a place that another catalog writes, or that somebody reads and this one would write.

    Many may follow the same lake; only one writes it.
    """
    same_place = Catalog.objects.filter(
        removed_at__isnull=True,
        bucket__bucket_name=bucket.bucket_name,
        bucket__endpoint=bucket.endpoint,
    )
    for found in same_place.only("prefix", "registered_prefixes", "is_read_only"):
        places = [
            found.prefix,
            *(found.registered_prefixes if mode is AdoptionMode.MANAGED else ()),
        ]
        overlaps = any(one.startswith(prefix) or prefix.startswith(one) for one in places)
        if overlaps and not (found.is_read_only and mode is AdoptionMode.READ_ONLY):
            raise PrefixRefused(
                f"Another catalog of this server keeps files below {prefix!r}.",
                hint="One lake has one writer. Drop the other catalog, or adopt read-only.",
            )
