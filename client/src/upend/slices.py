"""The one implementation of attaching a slice: server engines, the binder and laptops share it.

A slice is a frozen, minimal DuckLake. `connect` opens an engine that holds no authority, `attach`
builds the slices inside it and puts *secured views* that bear the lakes' names over their hidden
tables, and `lock` takes away everything but the files of the slices. After `lock` the engine may
be handed SQL that was checked; nothing in it can reach further than the slices.

The order matters: `connect`, `present_bearer` where files need one, `attach`, `lock`, query.
The exact JSON is in `schemas/manifest.schema.json`.
"""

from __future__ import annotations

import hashlib
import importlib.resources
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

FORMAT = "upend.slice/1"
EXTENSIONS = ("ducklake", "httpfs")
"""All that an engine loads. Never a database scanner: they ignore `enable_external_access`."""

METADATA_TABLES = frozenset(
    {
        "ducklake_column",
        "ducklake_column_mapping",
        "ducklake_data_file",
        "ducklake_delete_file",
        "ducklake_file_column_stats",
        "ducklake_file_partition_value",
        "ducklake_inlined_data_tables",
        "ducklake_name_mapping",
        "ducklake_partition_column",
        "ducklake_partition_info",
        "ducklake_schema_versions",
        "ducklake_snapshot",
        "ducklake_table",
        "ducklake_table_column_stats",
        "ducklake_table_stats",
    }
)
"""The metadata a slice may carry. Views, macros, tags and commit messages stay behind."""

FILE_TABLES = frozenset({"ducklake_data_file", "ducklake_delete_file"})
ROWS_AS_LISTS = 200
"""Up to so many rows, a list per column is quicker than Arrow: 0.6 ms against 1.5 ms a table."""

FENCE = 9223372036854775807
"""The limit that no table reaches: the optimizer moves nothing through it (a row barrier)."""

HMAC = "mask_hmac"
HMAC_BLOCK = 64
"""The block size of SHA-256, in bytes."""

Slice = dict[str, Any]


class InvalidSlice(ValueError):
    """The slice does not have the documented shape; nothing was attached."""


@dataclass(frozen=True, slots=True)
class Attached:
    """The databases that one `attach` added, newest last; `detach` takes them away again."""

    home: str
    databases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EmptyLake:
    """An in-memory DuckLake without rows, attached ahead of the slice that will fill it."""

    alias: str
    metadata: str


def connect(
    *,
    memory_bytes: int,
    threads: int,
    temp_directory: str = "",
    temp_bytes: int = 10 * 10**9,
) -> duckdb.DuckDBPyConnection:
    """Open an engine with the slice extensions loaded and nothing attached.

    `temp_directory` is where it may spill, up to `temp_bytes`; empty means that it never does.
    """
    con = load(memory_bytes=memory_bytes, threads=threads)
    if temp_directory:
        con.execute(f"SET temp_directory={_text(temp_directory)}")
        con.execute(f"SET max_temp_directory_size='{temp_bytes}B'")
    begin(con)
    return con


def load(*, memory_bytes: int, threads: int) -> duckdb.DuckDBPyConnection:
    """Start a hardened DuckDB with the slice extensions: all that a process may do before a fork.

    With one thread, nothing of it runs beside the caller. `begin` makes it an engine.
    """
    con = duckdb.connect(
        ":memory:",
        config={
            "allow_community_extensions": "false",
            "allow_persistent_secrets": "false",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "memory_limit": f"{memory_bytes}B",
            "python_enable_replacements": "false",
            "secret_directory": "/nonexistent",
            "temp_directory": "",
            "threads": threads,
        },
    )
    for name in EXTENSIONS:
        con.execute(f"LOAD {_text(str(extension_path(name)))}")
    return con


def begin(con: duckdb.DuckDBPyConnection) -> None:
    """Give a loaded DuckDB the session that every engine has.

    It runs in UTC everywhere, so that the place of a run never shows in its result.
    """
    con.execute("SET TimeZone='UTC'")
    _leave_the_default_database(con)


def prepare_lake(con: duckdb.DuckDBPyConnection, *, is_encrypted: bool = False) -> EmptyLake:
    """Attach an empty lake under names that nobody can guess; `attach` fills it.

    An engine that waits for its job does this while it waits. DuckLake opens files by their keys
    in a lake that is encrypted, and there no file without one.
    """
    lake = EmptyLake(f"s_{secrets.token_hex(8)}", f"m_{secrets.token_hex(8)}")
    con.execute(
        f"ATTACH 'ducklake::memory:' AS {lake.alias} "
        f"(DATA_PATH '/nonexistent/', METADATA_CATALOG '{lake.metadata}'"
        f"{', ENCRYPTED' if is_encrypted else ''})"
    )
    con.execute(f"DELETE FROM {lake.metadata}.ducklake_snapshot")
    con.execute(f"DELETE FROM {lake.metadata}.ducklake_snapshot_changes")
    return lake


def extension_path(name: str) -> Path:
    """Return the file of extension `name` inside its wheel: no network, no home directory."""
    root = Path(str(importlib.resources.files(f"duckdb_extension_{name}")))
    return root / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"


def present_bearer(con: duckdb.DuckDBPyConnection, *, base_url: str, bearer: str) -> None:
    """Send `bearer` with every request below `base_url`, and with no other."""
    con.execute(
        "CREATE SECRET upend_files (TYPE http, BEARER_TOKEN "
        f"{_text(bearer)}, SCOPE {_text(base_url)})"
    )


def define_hmac(con: duckdb.DuckDBPyConnection, key: bytes) -> None:
    """Define the macro that masks call: HMAC-SHA256 (RFC 2104) of a text by `key`, in hex digits.

    The key is in this engine's memory alone, and in nothing that describes a view or a plan of
    the slice: those have the macro's name. It is found from every database of the engine.
    """
    block = (hashlib.sha256(key).digest() if len(key) > HMAC_BLOCK else key).ljust(
        HMAC_BLOCK, b"\0"
    )
    inner, outer = (bytes(byte ^ pad for byte in block).hex() for pad in (0x36, 0x5C))
    con.execute(
        f"CREATE OR REPLACE TEMP MACRO {HMAC}(x) AS sha256(unhex('{outer}') || "
        f"unhex(sha256(unhex('{inner}') || encode(x))))"
    )


def attach(
    con: duckdb.DuckDBPyConnection,
    slices: Sequence[Slice],
    search_path: Iterable[Sequence[str]] = (),
    lakes: Iterable[EmptyLake] = (),
) -> Attached:
    """Attach `slices`, so that checked SQL finds their tables by the lakes' own names.

    `search_path` lists (catalog, schema) pairs in which unqualified names are looked up; `lakes`
    are those that `prepare_lake` has ready, more are made where they are too few. Raises
    `InvalidSlice` where a slice is not of the documented shape, `duckdb.Error` where its rows do
    not fit their types; the engine should then be thrown away.
    """
    home = con.execute("SELECT current_database()").fetchall()[0][0]
    ready = iter(lakes)
    databases: list[str] = []
    for one in slices:
        if one.get("format") != FORMAT:
            message = f"a slice must be {FORMAT!r}, not {one.get('format')!r}"
            raise InvalidSlice(message)
        is_encrypted = _has_keys(one)
        lake = None if is_encrypted else next(ready, None)
        lake = lake or prepare_lake(con, is_encrypted=is_encrypted)
        databases.append(lake.alias)
        _fill(con, lake.metadata, one)
        con.execute(f"ATTACH ':memory:' AS {_name(one['catalog'])}")
        databases.append(one["catalog"])
        for view in one["views"]:
            _create_view(con, lake.alias, one["catalog"], view)
    _search(con, search_path)
    return Attached(home, tuple(databases))


def detach(con: duckdb.DuckDBPyConnection, attached: Attached) -> None:
    """Take away what one `attach` added, so that a warm engine can serve the next slice."""
    con.execute(f"USE {_name(attached.home)}")
    for name in reversed(attached.databases):
        con.execute(f"DETACH {_name(name)}")


def paths(slices: Iterable[Slice]) -> list[str]:
    """Return every file or URL that `slices` name: all that their engine may open."""
    return [file["path"] for one in slices for file in one["files"]]


def lock(con: duckdb.DuckDBPyConnection, allowed_paths: Sequence[str]) -> None:
    """Leave the engine nothing but `allowed_paths`, for good."""
    con.execute(f"SET allowed_paths=[{', '.join(map(_text, allowed_paths))}]")
    con.execute("SET enable_external_access=false")
    con.execute("SET lock_configuration=true")


def _leave_the_default_database(con: duckdb.DuckDBPyConnection) -> None:
    """Work in a database of a random name, so that a lake may be called `memory`."""
    home = f"h_{secrets.token_hex(8)}"
    con.execute(f"ATTACH ':memory:' AS {home}")
    con.execute(f"USE {home}")
    con.execute("DETACH memory")


def _has_keys(one: Slice) -> bool:
    """Tell whether the slice's files are encrypted: then each row of one has its key."""
    tables = (one["tables"].get(name, {"columns": [], "rows": []}) for name in FILE_TABLES)
    return any(
        row[table["columns"].index("encryption_key")]
        for table in tables
        if "encryption_key" in table["columns"]
        for row in table["rows"]
    )


def _fill(con: duckdb.DuckDBPyConnection, metadata: str, one: Slice) -> None:
    """Write the slice's rows into the empty in-memory lake, in one transaction."""
    paths_by_ordinal = {file["ordinal"]: file["path"] for file in one["files"]}
    con.execute("BEGIN")
    for name, table in one["tables"].items():
        if name not in METADATA_TABLES:
            message = f"a slice carries no {name!r}"
            raise InvalidSlice(message)
        columns, rows = table["columns"], table["rows"]
        if name in FILE_TABLES:
            rows = _resolve_paths(columns, rows, paths_by_ordinal)
        _insert(con, f"{metadata}.{name}", columns, rows)
    for table in one["inlined"]:
        _create_inlined(con, f"{metadata}.{_name(table['name'])}", table)
    con.execute("COMMIT")


def _resolve_paths(
    columns: list[str], rows: list[list[Any]], paths_by_ordinal: dict[int, str]
) -> list[list[Any]]:
    """Replace the ordinal in the `path` column by what it stands for."""
    at = columns.index("path")
    try:
        return [[*row[:at], paths_by_ordinal[row[at]], *row[at + 1 :]] for row in rows]
    except KeyError as missing:
        message = f"a file row names ordinal {missing}, which the slice does not list"
        raise InvalidSlice(message) from None


def _insert(
    con: duckdb.DuckDBPyConnection, target: str, columns: list[str], rows: list[list[Any]]
) -> None:
    """Insert rows in bulk; values that JSON cannot type (UUID, timestamps) are cast from text."""
    names = ", ".join(map(_name, columns))
    if 0 < len(rows) <= ROWS_AS_LISTS:
        lists = ", ".join(["unnest(?)"] * len(columns))
        values = [list(column) for column in zip(*rows, strict=True)]
        con.execute(f"INSERT INTO {target} ({names}) SELECT {lists}", values)
    elif rows:
        _from_arrow(con, f"INSERT INTO {target} ({names}) SELECT * FROM rows_in", columns, rows)


def _create_inlined(con: duckdb.DuckDBPyConnection, target: str, table: dict[str, Any]) -> None:
    """Create one inlined table with its columns' real types: the engine trusts them blindly."""
    names = [name for name, _ in table["columns"]]
    definition = ", ".join(f"{_name(name)} {kind}" for name, kind in table["columns"])
    con.execute(f"CREATE TABLE {target} ({definition})")
    if not table["rows"]:
        return
    # BLOB has no text form that survives every metadata store: it travels as hex digits.
    values = ", ".join(
        f"unhex({_name(name)})" if kind.upper() == "BLOB" else f"CAST({_name(name)} AS {kind})"
        for name, kind in table["columns"]
    )
    sql = f"INSERT INTO {target} SELECT {values} FROM rows_in"
    _from_arrow(con, sql, names, table["rows"], pa.string())


def _from_arrow(
    con: duckdb.DuckDBPyConnection,
    sql: str,
    names: list[str],
    rows: list[list[Any]],
    kind: pa.DataType | None = None,
) -> None:
    """Run `sql` with `rows` as the table `rows_in`, and forget them again."""
    arrays = [pa.array(column, kind) for column in zip(*rows, strict=True)]
    con.register("rows_in", pa.Table.from_arrays(arrays, names=names))
    try:
        con.execute(sql)
    finally:
        con.unregister("rows_in")


def _create_view(
    con: duckdb.DuckDBPyConnection, alias: str, catalog: str, view: dict[str, Any]
) -> None:
    """Create the secured view through which SQL sees one hidden table.

    A row filter is a barrier: the limit keeps the optimizer from moving anything of the query's
    into the filtered subquery, where an expression that fails could print a hidden value. `at`
    names the snapshot where the slice lists files that hold later rows too: an engine that reads
    the newest one counts rows by what is said of files, without looking at whose they are.
    """
    columns = ", ".join(
        _name(name) if expression is None else f"{expression} AS {_name(name)}"
        for name, expression in view["columns"]
    )
    source = f"{alias}.main.{_name(view['table'])}"
    if view.get("at") is not None:
        source += f" AT (VERSION => {int(view['at'])})"
    if view.get("renames"):
        renamed = ", ".join(f"{_name(old)} AS {_name(new)}" for old, new in view["renames"])
        source = f"(SELECT {renamed} FROM {source})"
    if view.get("row_filter"):
        source = f"(SELECT * FROM {source} WHERE ({view['row_filter']}) LIMIT {FENCE})"
    schema = f"{_name(catalog)}.{_name(view['schema'])}"
    con.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    con.execute(f"CREATE VIEW {schema}.{_name(view['name'])} AS SELECT {columns} FROM {source}")


def _search(con: duckdb.DuckDBPyConnection, search_path: Iterable[Sequence[str]]) -> None:
    """Look unqualified names up in these (catalog, schema) pairs, in order."""
    entries = ",".join(f"{_name(catalog)}.{_name(schema)}" for catalog, schema in search_path)
    if entries:
        con.execute(f"SET search_path={_text(entries)}")


def _name(identifier: str) -> str:
    """Quote an identifier."""
    return '"' + identifier.replace('"', '""') + '"'


def _text(value: str) -> str:
    """Quote a string literal."""
    return "'" + value.replace("'", "''") + "'"
