"""Reads what is new in a table of a SQLite file that a stranger made.

Runs confined, in a process that holds nothing but the file. SQLite lets any value stand in any
column: what a column was declared to hold decides its type, and a value that is something else is
an error that names the column, never a silent cast.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Any
from urllib.parse import quote

import pyarrow as pa

from catalog.connectors.domain import Orders, Pulled, Range, Unreadable
from catalog.connectors.rows import ROWS, Field, written

MAX_CELL_BYTES = 64 * 2**20
CACHE_KIB = 64 * 1024


def pulled(orders: Orders) -> Pulled:
    """Write the rows that are wanted into the file. Raises `Unreadable`."""
    try:
        with closing(opened(orders.source["files"][0])) as con:
            return _pulled(con, orders)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise Unreadable(
            f"The file cannot be read as a SQLite database: {str(error)[:300]}. Was it copied"
            " while it was written, or left with a -wal beside it? Use `VACUUM INTO` to copy it."
        ) from error


def opened(path: str) -> sqlite3.Connection:
    """Return the file, opened to be read only and to run nothing that is kept in it.

    Python loads no extensions unless it is told to.
    """
    con = sqlite3.connect(f"file:{quote(path)}?mode=ro&immutable=1", uri=True)
    con.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_CELL_BYTES)
    con.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    for pragma in (
        "trusted_schema = OFF",
        "cell_size_check = ON",
        "mmap_size = 0",
        "query_only = ON",
        "temp_store = MEMORY",
        f"cache_size = -{CACHE_KIB}",
    ):
        con.execute(f"PRAGMA {pragma}")
    return con


def _pulled(con: sqlite3.Connection, orders: Orders) -> Pulled:
    wanted = orders.wanted
    declared = _columns(con, wanted)
    if orders.only_look:
        return Pulled(columns=tuple((name, kind or "any") for name, kind in declared.items()))
    fields = [_field(name, kind) for name, kind in declared.items()]
    text, given, upto = f"SELECT {_names(declared)} FROM {_quoted(wanted.table)}", [], None  # noqa: S608 - quoted
    if wanted.watermark_column:
        _check_watermark(wanted.watermark_column, declared)
        upto = wanted.upto or _newest(con, wanted)
        if upto is None:
            return Pulled()
        column = _quoted(wanted.watermark_column)
        # The column's affinity makes a number of the text where it holds numbers (SQLite, §4.2).
        text, given = f"{text} WHERE {column} <= ?", [upto]
        if wanted.after is not None:
            text, given = f"{text} AND {column} > ?", [upto, wanted.after]
    return Pulled(written(orders.path, fields, _batches(con, text, given)), upto)


def _columns(con: sqlite3.Connection, wanted: Range) -> dict[str, str]:
    """Return the declared types of an ordinary table's columns; views and virtual ones are none."""
    found = con.execute(
        "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND rootpage > 0 AND name = ?",
        [wanted.table],
    ).fetchone()
    if wanted.schema != "main" or found is None:
        tables = con.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage > 0"
            " AND name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY name LIMIT 10"
        ).fetchall()
        known = ", ".join(str(name)[:60] for (name,) in tables) or "none"
        raise Unreadable(f"There is no table {wanted.table} in the file; its tables are: {known}.")
    rows = con.execute(f"PRAGMA table_info({_quoted(wanted.table)})").fetchall()
    return {str(row[1]): str(row[2] or "").upper() for row in rows}


def _field(name: str, declared: str) -> Field:
    """Return what a column becomes (https://sqlite.org/datatype3.html, §3.1)."""
    if "BOOL" in declared:
        return Field(name, name, pa.bool_(), _only(name, declared, lambda v: v in (0, 1), bool))
    if "INT" in declared:
        fits = _only(name, declared, lambda v: isinstance(v, int))
        return Field(name, name, pa.int64(), fits)
    if any(part in declared for part in ("CHAR", "CLOB", "TEXT", "DATE", "TIME")):
        return Field(name, name, pa.string(), _text(name, declared))
    if "BLOB" in declared:
        fits = _only(name, declared, lambda v: isinstance(v, bytes))
        return Field(name, name, pa.binary(), fits)
    if not declared:
        return Field(name, name, pa.string(), _text(name, "any type"))
    fits = _only(name, declared, lambda v: isinstance(v, int | float), float)
    return Field(name, name, pa.float64(), fits)


def _only(
    name: str,
    declared: str,
    is_fit: Callable[[Any], bool],
    made: Callable[[Any], Any] = lambda value: value,
) -> Callable[[Any], Any]:
    """Return what lets values through that are as declared, and raises `Unreadable` otherwise."""

    def fit(value: Any) -> Any:
        if value is None:
            return None
        if not is_fit(value):
            raise Unreadable(
                f"{name} was declared {declared}, but holds a value of"
                f" {type(value).__name__}. Mend the row, or leave the column to TEXT."
            )
        return made(value)

    return fit


def _text(name: str, declared: str) -> Callable[[Any], Any]:
    return _only(name, declared, lambda value: not isinstance(value, bytes), str)


def _check_watermark(column: str, declared: dict[str, str]) -> None:
    if column not in declared:
        raise Unreadable(f"There is no column {column}, which was to be the watermark.")
    if not declared[column] or "BLOB" in declared[column]:
        raise Unreadable(f"{column} has no type of which there is a newest: take another column.")


def _newest(con: sqlite3.Connection, wanted: Range) -> str | None:
    column = _quoted(wanted.watermark_column)
    found = con.execute(f"SELECT max({column}) FROM {_quoted(wanted.table)}").fetchone()  # noqa: S608 - quoted
    if found[0] is None:
        return None
    if isinstance(found[0], bytes):
        raise Unreadable(f"{wanted.watermark_column} holds bytes: it is no watermark.")
    return repr(found[0]) if isinstance(found[0], float) else str(found[0])


def _batches(
    con: sqlite3.Connection, text: str, given: Sequence[str]
) -> Iterator[Sequence[Sequence[Any]]]:
    found = con.execute(text, given)
    while rows := found.fetchmany(ROWS):
        yield rows


def _names(declared: dict[str, str]) -> str:
    return ", ".join(map(_quoted, declared))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
