"""Reads the metadata of a lake from a DuckDB file that a stranger made.

Runs confined, in a process that holds nothing but the file. Views, macros and defaults of the file
are never evaluated: only columns of its ordinary tables are read, by quoted names.
"""

from __future__ import annotations

from collections.abc import Iterator

import duckdb

from catalog.adoption import frames, spec
from catalog.adoption.frames import Unreadable, Value

CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "allow_persistent_secrets": "false",
    "allow_unsigned_extensions": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "memory_limit": "1GB",
    "python_enable_replacements": "false",
    "secret_directory": "/nonexistent",
    "temp_directory": "",
    "threads": "1",
}
BYTES = frozenset({"BLOB"})
DATABASE = "theirs"
WARM = "SELECT lower(hex(encode([1]::VARCHAR))), now()::VARCHAR, ?::VARCHAR"
"""Makes the engine import what it needs for values and parameters."""


def ready(path: str) -> duckdb.DuckDBPyConnection:
    """Return an engine that may open the file, and nothing else. It has not opened it yet.

    An engine that begins looks around on its host: confined, it could not begin.
    """
    con = duckdb.connect(config=CONFIG)
    con.execute(f"SET allowed_paths = ['{path}', '{path}.wal']")  # a path of our own making
    con.execute("SET enable_external_access = false")
    con.execute("SET TimeZone = 'UTC'")
    con.execute("SET lock_configuration = true")
    con.execute(WARM, ["x"]).fetchall()
    return con


def read(con: duckdb.DuckDBPyConnection, path: str, schema: str = "main") -> None:
    """Write the metadata in the file as frames. Raises `Unreadable`."""
    try:
        con.execute(f"ATTACH '{path}' AS {DATABASE} (READ_ONLY)")
        _read(con, schema)
    except duckdb.Error as error:
        first = str(error).partition("\n")[0].replace(path, "the file")[:300]
        raise Unreadable(
            "metadata-unreadable",
            f"The file cannot be read as a DuckDB database: {first}",
            "Close every DuckDB that has it open (that writes its .wal into it), then try again"
            " with a file of DuckDB 1.5 or older that is not encrypted.",
        ) from error


def _read(con: duckdb.DuckDBPyConnection, schema: str) -> None:
    known = _tables(con, schema)
    for table, columns in spec.TABLES.items():
        if table not in known:
            raise frames.missing(table)
        for name, _ in columns:
            if name not in known[table]:
                raise frames.missing(table, name)
        names = [name for name, _ in columns]
        outputs = [f"{_quoted(name)}::VARCHAR" for name in names]
        frames.write_table(table, names, _rows(con, schema, table, outputs))
    for table, kinds in sorted(known.items()):
        if spec.INLINED_DATA.fullmatch(table) or spec.INLINED_DELETE.fullmatch(table):
            outputs = [_bytes(name, kind) for name, kind in kinds.items()]
            frames.write_table(table, list(kinds), _rows(con, schema, table, outputs))


def _tables(con: duckdb.DuckDBPyConnection, schema: str) -> dict[str, dict[str, str]]:
    """Return the ordinary tables of the file, with their columns and types."""
    found = con.execute(
        "SELECT t.table_name, c.column_name, c.data_type FROM duckdb_tables() t"
        " JOIN duckdb_columns() c USING (table_oid, database_oid)"
        " WHERE t.database_name = ? AND t.schema_name = ? AND NOT t.internal"
        " ORDER BY t.table_name, c.column_index",
        [DATABASE, schema],
    ).fetchall()
    known: dict[str, dict[str, str]] = {}
    for table, column, kind in found:
        known.setdefault(table, {})[column] = kind
    return known


def _rows(
    con: duckdb.DuckDBPyConnection, schema: str, table: str, outputs: list[str]
) -> Iterator[tuple[Value, ...]]:
    place = f"{DATABASE}.{_quoted(schema)}.{_quoted(table)}"
    con.execute(f"SELECT {', '.join(outputs)} FROM {place}")  # noqa: S608 - quoted
    while batch := con.fetchmany(frames.ROWS):
        yield from batch


def _bytes(name: str, kind: str) -> str:
    """Return the expression of an inlined value as hexadecimal: exact text, or a blob's bytes."""
    column = _quoted(name)
    return f"lower(hex({column if kind in BYTES else f'encode({column}::VARCHAR)'}))"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
