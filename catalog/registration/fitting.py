"""Tells whether a file's columns fit a table as DuckLake maps them: by name, to no narrower type.

What is not known to be refused is not: of types that hold others the engine alone can tell.
Source: DuckLake, ducklake_add_data_files.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from catalog.connectors.domain import Columns

UNSIGNED = ("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")
SIGNED = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT")
PLAIN = (
    "BLOB",
    "BOOLEAN",
    "DATE",
    "FLOAT",
    "INTERVAL",
    "JSON",
    "TIMESTAMP WITH TIME ZONE",
    "UUID",
    "VARCHAR",
)
"""What takes its own type and no other."""
TIMES = ("TIMESTAMP", "TIMESTAMP_NS")
TAKEN = (
    {kind: frozenset({kind}) for kind in PLAIN}
    | {kind: frozenset(UNSIGNED[: n + 1]) for n, kind in enumerate(UNSIGNED)}
    | {kind: frozenset(SIGNED[: n + 1] + UNSIGNED[:n]) for n, kind in enumerate(SIGNED)}
    | {kind: frozenset(TIMES) for kind in TIMES}
    | {
        "DOUBLE": frozenset({"DOUBLE", "FLOAT"}),
        "TIME": frozenset({"TIME", "TIME WITH TIME ZONE"}),
        "TIMESTAMP_MS": frozenset({"TIMESTAMP"}),
        "TIMESTAMP_S": frozenset({"TIMESTAMP"}),
    }
)
"""The types of files, as the engine reads them, that a column of a table takes."""
DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A column that the table has."""

    name: str
    type: str
    is_required: bool = False


def misfit(
    columns: Columns,
    table: Sequence[Wanted],
    *,
    allow_missing: bool = False,
    ignore_extra: bool = False,
) -> str:
    """Return why a file with `columns` does not fit; nothing where it does, as far as one sees."""
    there = {name.lower(): kind for name, kind in columns}
    known = {one.name.lower() for one in table}
    for one in table:
        kind = there.get(one.name.lower())
        if kind is None and one.is_required:
            return f"it has no column {one.name}, which must not be NULL"
        if kind is None and not allow_missing:
            return f"it has no column {one.name}"
        if kind is not None and not takes(one.type, kind):
            return f"its column {one.name} is {kind}, the table's {one.type}"
    extra = [name for name, _ in columns if name.lower() not in known]
    if extra and not ignore_extra:
        return f"its column {extra[0]} is none of the table"
    return ""


def takes(wanted: str, kind: str) -> bool:
    """Tell whether a column of the type `wanted` takes a file's of type `kind`."""
    if wanted == kind:
        return True
    ours, theirs = DECIMAL.fullmatch(wanted), DECIMAL.fullmatch(kind)
    if ours:
        fits = theirs and all(int(theirs[n]) <= int(ours[n]) for n in (1, 2))
        return bool(fits)
    return wanted not in TAKEN or kind in TAKEN[wanted]
