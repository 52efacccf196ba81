"""Checks cells against a table's columns, and names each that does not fit, by row and reason.

The web process checks what is small before it answers; the writer's process checks the rest. It
runs the engine's own casts, on a connection that can reach nothing: no text of a sender is SQL.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from catalog.ingest.casting import added_type, cast, holds, is_exact, is_text, wider
from catalog.ingest.domain import (
    BadRow,
    Evolution,
    IngestMode,
    Mismatch,
    SchemaMode,
    Target,
    Wanted,
)
from catalog.ingest.reading import KINDS_KEY, Chunk

LONGEST_VALUE = 80
LONGEST_RAW = 10_000
MAX_NAME_BYTES = 63

_local = threading.local()
_database: list[duckdb.DuckDBPyConnection] = []
_lock = threading.Lock()


@dataclass(slots=True)
class Checked:
    """Cells that fit, under the names of their columns; rows that do not; changes needed first."""

    cells: pa.Table
    bad: list[BadRow]
    evolution: Evolution


@dataclass(frozen=True, slots=True)
class _Column:
    """One offered column and the one of the table that it goes to."""

    at: int
    target: Target
    given: pa.DataType


def check(chunk: Chunk, wanted: Wanted) -> Checked:
    """Check one chunk of rows. Raises `Mismatch` where its columns do not fit the table."""
    evolution = Evolution()
    columns = _matched(chunk.cells, wanted, evolution)
    reasons: dict[int, tuple[str, str, str]] = {}
    for column, places in _misfits(chunk, columns, wanted, evolution):
        for place in places:
            reasons.setdefault(place, _reason(chunk.cells.column(column.at), place, column.target))
    cells = pa.table(
        [chunk.cells.column(column.at) for column in columns],
        names=[column.target.name for column in columns],
    )
    bad = list(chunk.bad)
    if reasons:
        bad += [
            BadRow(chunk.rows[place], *reasons[place], raw=_raw(chunk.cells, place))
            for place in sorted(reasons)
        ]
        fits = pa.array([place not in reasons for place in range(cells.num_rows)])
        cells = cells.filter(fits)
    return Checked(cells, sorted(bad, key=lambda one: one.row), evolution)


def _matched(cells: pa.Table, wanted: Wanted, evolution: Evolution) -> list[_Column]:
    """Return the offered columns with where they go, compared without case."""
    known = {target.name.lower(): target for target in wanted.targets}
    found: dict[str, _Column] = {}
    unknown: list[str] = []
    for at, one in enumerate(cells.schema):
        name = one.name.lower()
        if name in found:
            raise Mismatch("two-columns-of-a-name", f"Two columns are named {one.name!r}.")
        target = known.get(name)
        if target is None and wanted.schema is SchemaMode.EVOLVE:
            target = _added(one, evolution)
        if target is None:
            unknown.append(one.name)
        else:
            found[name] = _Column(at, target, one.type)
    if unknown:
        raise _unknown(unknown, wanted)
    _refuse_missing(found, cells, wanted)
    return list(found.values())


def _unknown(names: Sequence[str], wanted: Wanted) -> Mismatch:
    return Mismatch(
        "unknown-columns",
        f"The table has no columns {', '.join(repr(name[:80]) for name in names[:10])}.",
        hint=f"Its columns are {', '.join(target.name for target in wanted.targets)}."
        " Leave the others out, or let the table evolve.",
    )


def _refuse_missing(found: dict[str, _Column], cells: pa.Table, wanted: Wanted) -> None:
    names = {target.name.lower() for target in wanted.targets}
    if strange := [key for key in wanted.keys if key.lower() not in names]:
        raise _unknown(strange, wanted)
    needed = {key.lower() for key in wanted.keys}
    if wanted.mode is not IngestMode.DELETE:
        needed |= {
            target.name.lower()
            for target in wanted.targets
            if not target.is_nullable and not target.has_default
        }
    if cells.num_rows and (missing := sorted(needed - set(found))):
        raise Mismatch(
            "missing-columns",
            f"The rows lack {', '.join(missing)}: keys, or columns that allow no nulls.",
        )


def _added(one: pa.Field, evolution: Evolution) -> Target:
    """Return the new column that an offered one becomes. Raises `Mismatch`."""
    if (
        not one.name.strip()
        or len(one.name.encode()) > MAX_NAME_BYTES
        or not one.name.isprintable()
    ):
        raise Mismatch("bad-column-name", f"{one.name[:80]!r} cannot be a column's name.")
    if one.metadata and KINDS_KEY in one.metadata:
        kinds = frozenset(filter(None, one.metadata[KINDS_KEY].decode().split(",")))
        kind = added_type(kinds)
    else:
        kind = _engine_type(one)
    evolution.added[one.name] = kind
    return Target(one.name, kind)


def _engine_type(one: pa.Field) -> str:
    if pa.types.is_null(one.type):
        return "VARCHAR"
    con = connection()
    con.register("cells", pa.schema([one]).empty_table())
    try:
        return str(con.execute("DESCRIBE cells").fetchall()[0][1])
    finally:
        con.unregister("cells")


def _misfits(
    chunk: Chunk, columns: list[_Column], wanted: Wanted, evolution: Evolution
) -> Iterator[tuple[_Column, list[int]]]:
    """Yield each column with the places whose cell has no value of its type, or lacks one."""
    cells = chunk.cells
    keys = {key.lower() for key in wanted.keys}
    inexact = [c for c in columns if not _surely_fits(c, chunk)]
    asked = [(column.at, column.target.type) for column in inexact]
    flags = dict(zip(inexact, lost_cells(cells, asked), strict=True))
    for column in columns:
        lost = flags.get(column, [])
        if lost and wanted.schema is SchemaMode.EVOLVE:
            lost = _widened(cells, column, lost, evolution)
        cell = cells.column(column.at)
        needs = not column.target.is_nullable or column.target.name.lower() in keys
        empty = (
            pc.indices_nonzero(pc.is_null(cell)).to_pylist() if needs and cell.null_count else []
        )
        if lost or empty:
            yield column, lost + empty


def _surely_fits(column: _Column, chunk: Chunk) -> bool:
    """Tell whether no cell needs the engine to say that it fits."""
    if is_exact(column.given, column.target.type):
        return True
    found = chunk.numbers.get(chunk.cells.schema.field(column.at).name)
    return found is not None and holds(
        column.target.type, found.least, found.greatest, are_integers=found.are_integers
    )


def lost_cells(cells: pa.Table, columns: Sequence[tuple[int, str]]) -> list[list[int]]:
    """Return, by column and wanted type, the places of cells that no cast makes a value of."""
    if not columns or not cells.num_rows:
        return [[] for _ in columns]
    flags = []
    for number, (at, kind) in enumerate(columns):
        name = f"c{number}"
        value = cast(name, cells.schema.field(at).type, kind)
        flags.append(f"{name} IS NOT NULL AND ({value}) IS NULL AS {name}")
    given = pa.table(
        [cells.column(at) for at, _ in columns],
        names=[f"c{number}" for number in range(len(columns))],
    )
    con = connection()
    con.register("cells", given)
    try:
        found = con.execute(f"SELECT {', '.join(flags)} FROM cells").to_arrow_table()  # noqa: S608 - names and types of ours
    except duckdb.Error as error:
        raise Mismatch(
            "columns-not-castable",
            f"Some column cannot become the table's type: {str(error).partition(chr(10))[0]}",
        ) from error
    finally:
        con.unregister("cells")
    return [
        pc.indices_nonzero(found.column(at).combine_chunks()).to_pylist()
        if pc.any(found.column(at)).as_py()
        else []
        for at in range(len(columns))
    ]


def _widened(cells: pa.Table, column: _Column, lost: list[int], evolution: Evolution) -> list[int]:
    """Return the places that stay lost; note the nearest wider type that loses none."""
    for kind in wider(column.target.type):
        if not lost_cells(cells, [(column.at, kind)])[0]:
            evolution.widened[column.target.name] = kind
            return []
    return lost


def _reason(cell: pa.ChunkedArray, place: int, target: Target) -> tuple[str, str, str]:
    value = cell[place].as_py()
    if value is None:
        return target.name, "is null in a column that needs a value", ""
    text = value if is_text(cell.type) else str(value)
    return target.name, f"is not a {target.type}", text[:LONGEST_VALUE]


def _raw(cells: pa.Table, place: int) -> str:
    [row] = cells.slice(place, 1).to_pylist()
    return json.dumps(row, ensure_ascii=False, default=str)[:LONGEST_RAW]


def connection() -> duckdb.DuckDBPyConnection:
    """Return this thread's connection to an engine that can reach nothing."""
    found: duckdb.DuckDBPyConnection | None = getattr(_local, "con", None)
    if found is None:
        with _lock:
            if not _database:
                _database.append(_sterile())
            found = _local.con = _database[0].cursor()
            found.execute("SET TimeZone = 'UTC'")
    return found


def _sterile() -> duckdb.DuckDBPyConnection:
    settings: dict[str, Any] = {
        "allow_persistent_secrets": "false",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "enable_external_access": "false",
        "memory_limit": "1GB",
        "python_enable_replacements": "false",
        "secret_directory": "/nonexistent",
        "threads": "1",
    }
    return duckdb.connect(":memory:", config=settings)
