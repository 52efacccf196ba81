"""Turns DuckLake's paths into canonical object keys, and refuses any outside the catalog's prefix.

A lake's metadata is data that others may have written: a hostile catalog can list another
tenant's file. The prefixes that Upend keeps of a catalog, never the lake's own `data_path`,
are the authority.
"""

from __future__ import annotations

from dataclasses import dataclass

from catalog.models import Catalog
from problems import Problem

UNSAFE = frozenset('\\?#*"<>|\x7f') | {chr(code) for code in range(32)}


class PathOutsidePrefix(Problem):
    """A lake lists a file that is not under its catalog's prefix."""

    code = "path-outside-prefix"
    status = 409
    title = "The catalog lists a file that is not its own"


@dataclass(frozen=True, slots=True)
class LakePath:
    """A path as DuckLake stores it: absolute, or relative to its parent's."""

    path: str | None
    is_relative: bool | None

    def below(self, parent: str) -> str:
        """Return the path joined to its parent's, as the specification joins them."""
        if self.path is None:
            return parent
        return parent + self.path if self.is_relative else self.path


def root(catalog: Catalog) -> str:
    """Return the URL of the registered prefix, which ends with a slash."""
    return f"s3://{catalog.bucket.bucket_name}/{catalog.prefix}"


def key_of(catalog: Catalog, url: str) -> str:
    """Return the canonical object key of `url`, below the prefix or a registered one.

    Raises `PathOutsidePrefix`.
    """
    bucket = root(catalog).removesuffix(catalog.prefix)
    prefixes: list[str] = [catalog.prefix, *catalog.registered_prefixes]
    for prefix in prefixes:
        if url.startswith(bucket + prefix):
            rest = url.removeprefix(bucket + prefix)
            if not is_plain(rest):
                break
            return prefix + rest
    raise refused(catalog)


def is_plain(key: str) -> bool:
    """Tell whether a key means the same to everyone who reads it as a path or a URL."""
    segments = key.split("/")
    return not any(part in {"", ".", ".."} for part in segments) and not UNSAFE.intersection(key)


def prefix_of(catalog: Catalog, url: str) -> str:
    """Return the canonical key prefix of the directory `url`. Raises `PathOutsidePrefix`."""
    directory = url if url.endswith("/") else f"{url}/"
    return catalog.prefix if directory == root(catalog) else key_of(catalog, directory[:-1]) + "/"


def refused(catalog: Catalog) -> PathOutsidePrefix:
    """Return the refusal; it does not repeat the path, which may be another tenant's."""
    return PathOutsidePrefix(
        f"Catalog {catalog.name} lists a file outside its own storage prefix; nothing was read.",
        hint="Its metadata was changed by something other than Upend. Restore it from a backup.",
    )
