"""Reads the metadata of a lake from a SQLite file that a stranger made.

Runs confined, in a process that holds nothing but the file. SQLite keeps most inlined values as
text: they are carried as that text, and get their type from DuckLake's own list of columns.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import quote

from catalog.adoption import frames, spec
from catalog.adoption.frames import Unreadable, Value


def read(path: str, schema: str = "main") -> None:
    """Write the metadata in the file as frames. Raises `Unreadable`."""
    if schema != "main":
        raise Unreadable("metadata-unreadable", "A SQLite file has no schemas.", "Leave it out.")
    try:
        with closing(sqlite3.connect(f"file:{quote(path)}?mode=ro&immutable=1", uri=True)) as con:
            con.text_factory = bytes
            con.execute("PRAGMA trusted_schema = OFF")
            con.execute("PRAGMA cell_size_check = ON")
            _read(con)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise Unreadable(
            "metadata-unreadable",
            f"The file cannot be read as a SQLite database: {str(error)[:300]}",
            "Close every program that has it open (that writes its -wal into it), then try again.",
        ) from error


def _read(con: sqlite3.Connection) -> None:
    known = _tables(con)
    for table, columns in spec.TABLES.items():
        if table not in known:
            raise frames.missing(table)
        names = [name for name, _ in columns]
        for name in names:
            if name not in known[table]:
                raise frames.missing(table, name)
        rows = (tuple(map(_text, row)) for row in _rows(con, table, names))
        frames.write_table(table, names, rows)
    for table, names in sorted(known.items()):
        if spec.INLINED_DATA.fullmatch(table) or spec.INLINED_DELETE.fullmatch(table):
            rows = (tuple(map(frames.hexadecimal, row)) for row in _rows(con, table, names))
            frames.write_table(table, names, rows)


def _tables(con: sqlite3.Connection) -> dict[str, list[str]]:
    """Return the ordinary tables, with their columns; views and virtual tables are none."""
    found = con.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage > 0"
    ).fetchall()
    return {
        name.decode(): [
            column[1].decode()
            for column in con.execute(f"PRAGMA table_info({_quoted(name.decode())})")
        ]
        for (name,) in found
    }


def _rows(con: sqlite3.Connection, table: str, names: list[str]) -> Iterator[tuple[object, ...]]:
    columns = ", ".join(map(_quoted, names))
    yield from con.execute(f"SELECT {columns} FROM {_quoted(table)}")  # noqa: S608 - quoted


def _text(value: object) -> Value:
    if value is None:
        return None
    return value.decode() if isinstance(value, bytes) else str(value)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
