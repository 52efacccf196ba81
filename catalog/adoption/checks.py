"""What is found in a lake before it is adopted: how much there is, and what is wrong with it.

Every check reads Upend's own copy by the same reader that queries use, over the whole history.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, LiteralString

from catalog import lake, storage
from catalog.adoption import definitions
from catalog.lake.metadata import rows
from catalog.lake.paths import LakePath, PathOutsidePrefix, key_of, prefix_of, root
from catalog.lake.types import NESTED, duckdb_type
from catalog.models import Catalog
from problems import Problem

EXAMPLES = 5


class Severity(StrEnum):
    """Whether a lake can be adopted with it."""

    BLOCKING = "blocking"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that who adopts the lake must know; `examples` are names in the lake."""

    code: str
    severity: Severity
    detail: str
    hint: str = ""
    count: int = 0
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class File:
    """One object that the lake names, and of which table, at any snapshot."""

    table: str
    key: str
    size_bytes: int
    is_live: bool


def report(place: Catalog, said: dict[str, str], not_adopted: dict[str, int]) -> dict[str, Any]:
    """Return what is in the lake that was read to `place`, and the findings. Changes nothing."""
    findings = [
        *_outside(place),
        *_types(place),
        *_snapshots(place),
        *_code(not_adopted),
        *_views(place),
    ]
    if not any(one.severity is Severity.BLOCKING for one in findings):
        findings += _readable(place)
        findings += _absent(place, list(_files(place)))
    if said.get("encrypted") == "true":
        detail = "The lake is encrypted; its keys are kept with its metadata."
        findings.append(Finding("encrypted", Severity.NOTE, detail))
    if said.get("data_path", "") != root(place):
        detail = f"The lake calls its root {said.get('data_path', '')!r}; here it is {root(place)}."
        hint = "Relative paths follow. Is that where its files lie?"
        findings.append(Finding("data_path_differs", Severity.NOTE, detail, hint))
    return _counted(place) | {
        "encrypted": said.get("encrypted") == "true",
        "findings": [asdict(one) for one in findings],
        "is_adoptable": all(one.severity is not Severity.BLOCKING for one in findings),
    }


def _counted(place: Catalog) -> dict[str, Any]:
    [found] = rows(
        place,
        "SELECT (SELECT count(*) FROM {ducklake_table} WHERE end_snapshot IS NULL),"
        " (SELECT count(*) FROM {ducklake_view} WHERE end_snapshot IS NULL),"
        " (SELECT count(*) FROM {ducklake_snapshot}),"
        " (SELECT max(snapshot_id) FROM {ducklake_snapshot}),"
        " (SELECT count(*) FROM {ducklake_data_file}) + (SELECT count(*) FROM"
        " {ducklake_delete_file}),"
        " (SELECT coalesce(sum(file_size_bytes), 0)::bigint FROM {ducklake_data_file}),"
        " (SELECT coalesce(sum(record_count), 0)::bigint FROM {ducklake_table_stats})",
    )
    names = ("tables", "views", "snapshots", "newest_snapshot", "files", "bytes", "rows")
    return dict(zip(names, found, strict=True))


def _outside(place: Catalog) -> Iterator[Finding]:
    """Find tables that keep files, or could put some, outside the registered prefix."""
    guilty: dict[str, int] = {}
    for table, url, is_directory in _urls(place):
        try:
            (prefix_of if is_directory else key_of)(place, url)
        except PathOutsidePrefix:
            guilty[table] = guilty.get(table, 0) + 1
    if guilty:
        yield Finding(
            "path_outside_data_path",
            Severity.BLOCKING,
            f"{sum(guilty.values())} paths lead outside {root(place)}.",
            "Adopt it with the prefix below which all of its files lie; a lake that names files"
            " elsewhere cannot be adopted.",
            sum(guilty.values()),
            tuple(sorted(guilty)[:EXAMPLES]),
        )


ALL_TABLES: LiteralString = (
    "SELECT t.table_id, s.schema_name || '.' || t.table_name, s.path, s.path_is_relative, t.path,"
    " t.path_is_relative FROM {ducklake_table} t LEFT JOIN {ducklake_schema} s USING (schema_id)"
)
ALL_FILES: LiteralString = (
    "SELECT table_id, path, path_is_relative, file_size_bytes, end_snapshot IS NULL"
    " FROM {ducklake_data_file} UNION ALL"
    " SELECT table_id, path, path_is_relative, file_size_bytes, end_snapshot IS NULL"
    " FROM {ducklake_delete_file}"
)


def _directories(place: Catalog) -> dict[int, tuple[str, str]]:
    """Return the name and the URL of each table's directory, of all the lake's history."""
    found = {}
    for table_id, name, path, relative, own, own_relative in rows(place, ALL_TABLES):
        above = LakePath(path, relative).below(root(place))
        found[table_id] = (name or f"table {table_id}", LakePath(own, own_relative).below(above))
    return found


def _urls(place: Catalog) -> Iterator[tuple[str, str, bool]]:
    """Yield every path of the lake: of which table, its URL, and whether it is a directory."""
    tables = _directories(place)
    for path, relative, name in rows(
        place, "SELECT path, path_is_relative, schema_name FROM {ducklake_schema}"
    ):
        yield f"schema {name}", LakePath(path, relative).below(root(place)), True
    for name, url in tables.values():
        yield name, url, True
    for table_id, path, relative, _, _ in rows(place, ALL_FILES):
        name, above = tables.get(table_id, (f"table {table_id}", "unknown:"))
        yield name, LakePath(path, relative).below(above), False


def _files(place: Catalog) -> Iterator[File]:
    tables = _directories(place)
    for table_id, path, relative, size, is_live in rows(place, ALL_FILES):
        name, above = tables[table_id]
        yield File(name, key_of(place, LakePath(path, relative).below(above)), size, is_live)


def _absent(place: Catalog, files: list[File]) -> Iterator[Finding]:
    """Find files that the lake names and the bucket does not hold, or holds otherwise."""
    if not files:
        return
    held = dict(storage.of(place.bucket, place.prefix).sizes(place.prefix))
    gone = [one for one in files if held.get(one.key) is None]
    other = [one for one in files if held.get(one.key, one.size_bytes) != one.size_bytes]
    live = [one for one in gone if one.is_live] + other
    if live:
        yield Finding(
            "file_missing",
            Severity.BLOCKING,
            f"{len(live)} files of the newest snapshot are not in the bucket, or have another"
            " size there.",
            "Copy the lake's files below the prefix first, or adopt with the prefix where they"
            " are.",
            len(live),
            tuple(sorted({one.table for one in live})[:EXAMPLES]),
        )
    if past := [one for one in gone if not one.is_live]:
        yield Finding(
            "past_file_missing",
            Severity.NOTE,
            f"{len(past)} files of earlier snapshots are not in the bucket: those snapshots"
            " cannot be read whole.",
            count=len(past),
            examples=tuple(sorted({one.table for one in past})[:EXAMPLES]),
        )


def _types(place: Catalog) -> Iterator[Finding]:
    found = rows(place, "SELECT DISTINCT column_type FROM {ducklake_column}")
    unknown = [str(kind) for (kind,) in found if not _is_known(kind)]
    if unknown:
        listed = ", ".join(unknown[:EXAMPLES])
        detail = f"Columns are of types that DuckLake 1.0 does not have: {listed}."
        yield Finding("unknown_type", Severity.BLOCKING, detail, count=len(unknown))


def _is_known(kind: str | None) -> bool:
    if kind is None or kind.lower() in NESTED:
        return kind is not None
    try:
        duckdb_type(kind)
    except ValueError:
        return False
    return True


def _snapshots(place: Catalog) -> Iterator[Finding]:
    if not rows(place, "SELECT 1 FROM {ducklake_snapshot} LIMIT 1"):
        yield Finding("no_snapshot", Severity.BLOCKING, "The lake has no snapshot.")


def _readable(place: Catalog) -> Iterator[Finding]:
    """Find out whether the newest snapshot reads as queries will read it."""
    newest = lake.latest_snapshot(place).snapshot_id
    try:
        for table in lake.tables(place, newest):
            lake.table_by_uuid(place, newest, table.table_uuid)
    except (Problem, LookupError, ValueError, TypeError) as error:
        yield Finding(
            "metadata_damaged",
            Severity.BLOCKING,
            f"The newest snapshot cannot be read: {type(error).__name__}.",
            "Can DuckDB read every table of it? Restore the metadata from a backup.",
        )


def _code(not_adopted: dict[str, int]) -> Iterator[Finding]:
    if count := not_adopted.get("ducklake_macro", 0):
        yield Finding(
            "macros_dropped",
            Severity.NOTE,
            f"{count} macros are left behind: stored code is not adopted.",
            "Write what they do into views, or into the queries.",
            count,
        )
    if count := not_adopted.get("ducklake_files_scheduled_for_deletion", 0):
        detail = f"{count} files that the lake wanted deleted stay in the bucket."
        yield Finding("deletions_dropped", Severity.NOTE, detail, count=count)


def _views(place: Catalog) -> Iterator[Finding]:
    """Find views that the gate refuses: they come along, and nobody can query them."""
    found = rows(place, "SELECT view_name, sql FROM {ducklake_view} WHERE end_snapshot IS NULL")
    unsafe = [name for name, text in found if not definitions.is_safe(text or "")]
    if unsafe:
        yield Finding(
            "view_not_safe",
            Severity.NOTE,
            f"{len(unsafe)} views hold what the SQL gate refuses; no query can use them.",
            "Create them anew from tables of the catalog.",
            len(unsafe),
            tuple(sorted(unsafe)[:EXAMPLES]),
        )
