"""Which objects of a bucket a connector may read: those that fit its path, never a catalog's files.

Files of catalogs are read under policies; a connector that read them as they lie would go round
those, so whatever is below a catalog's prefix is no source, whoever asks.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from catalog.adoption.prefixes import below
from catalog.models import Bucket, Catalog
from problems import Invalid

MAX_PATH = 900
"""S3 keys have at most 1,024 bytes."""
WILDCARD = re.compile(r"\*\*/?|\*|\?")
SPELLED = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}


class SourceRefused(Invalid):
    """What a connector was to read is no source for one."""

    code = "source-refused"
    title = "The source is refused"


def checked_path(bucket: Bucket, path: str, *, is_pattern: bool) -> str:
    """Return the path as it is kept; one that ends with a slash means the Parquet files below.

    Raises `SourceRefused` where it is none, or where it is outside of what may be read.
    """
    wanted = f"{path}**/*.parquet" if is_pattern and (not path or path.endswith("/")) else path
    segments = wanted.split("/")
    if not wanted.isprintable() or len(wanted.encode()) > MAX_PATH or "\\" in wanted:
        raise _refused(f"{wanted[:100]!r} is not the path of an object.")
    if any(part in {"", ".", ".."} for part in segments):
        raise _refused(f"{wanted!r} has an empty part, or one of dots.")
    if not is_pattern and WILDCARD.search(wanted):
        raise _refused(f"{wanted!r} has a wildcard; name one object.")
    start = below(bucket)
    if not wanted.startswith(start):
        raise _refused(
            f"{wanted!r} is not below {start!r}, where bucket {bucket.name} begins.",
            f"Begin the path with {start}.",
        )
    literal = literal_part(wanted)
    if inside := next((one for one in _lakes(bucket) if literal.startswith(one)), None):
        raise _refused(
            f"A catalog keeps its files below {inside!r}.",
            "Query the catalog instead: its policies hold there. Or name another place.",
        )
    return wanted


def literal_part(path: str) -> str:
    """Return what stands before the first wildcard: what a listing begins with."""
    return WILDCARD.split(path, maxsplit=1)[0]


def chosen_by(bucket: Bucket, path: str) -> Callable[[str], bool]:
    """Return what tells whether a key fits the path and is no file of a catalog."""
    spelled, end = "", 0
    for found in WILDCARD.finditer(path):
        spelled += re.escape(path[end : found.start()]) + SPELLED[found[0]]
        end = found.end()
    pattern = re.compile(spelled + re.escape(path[end:]))
    lakes = tuple(_lakes(bucket))
    return lambda key: bool(pattern.fullmatch(key)) and not key.startswith(lakes)


def _lakes(bucket: Bucket) -> list[str]:
    """Return the prefixes of all catalogs in the same place, whichever row names it."""
    same_place = Catalog.objects.filter(
        removed_at__isnull=True,
        bucket__bucket_name=bucket.bucket_name,
        bucket__endpoint=bucket.endpoint,
    )
    return list(same_place.values_list("prefix", flat=True))


def _refused(detail: str, hint: str = "") -> SourceRefused:
    return SourceRefused(
        detail, hint=hint or "Such as exports/orders/*.parquet, or exports/ for all below it."
    )
