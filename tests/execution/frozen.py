"""A slice made straight from a DuckDB-held lake: the tests' own path, apart from the server's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb

from upend import slices

ROWS = sorted(slices.METADATA_TABLES - {"ducklake_snapshot", "ducklake_snapshot_changes"})


def live_lake(directory: Path) -> duckdb.DuckDBPyConnection:
    """Open a writable lake `lake` under `directory`, with its metadata in `md`."""
    con = slices.connect(memory_bytes=2**30, threads=2)
    con.execute(
        f"ATTACH 'ducklake:{directory}/lake.duckdb' AS lake "
        f"(DATA_PATH '{directory}/data/', METADATA_CATALOG 'md')"
    )
    return con


def freeze(con: duckdb.DuckDBPyConnection, *names: str, catalog: str = "lake") -> slices.Slice:
    """Return a slice of the newest snapshot of `lake` that shows `names`."""
    tables: dict[str, Any] = {}
    for name in ROWS:
        tables[name] = _rows(con, f"SELECT * FROM md.{name}")
    tables["ducklake_snapshot"] = _rows(
        con, "SELECT * FROM md.ducklake_snapshot ORDER BY snapshot_id DESC LIMIT 1"
    )
    files = _name_files(con, tables)
    tables["ducklake_table"]["rows"] = [
        [f"t{row[0]}" if column == "table_name" else value for column, value in pairs]
        for row in tables["ducklake_table"]["rows"]
        for pairs in [list(zip(tables["ducklake_table"]["columns"], row, strict=True))]
    ]
    return {
        "format": slices.FORMAT,
        "catalog": catalog,
        "snapshot_id": int(tables["ducklake_snapshot"]["rows"][0][0]),
        "tables": tables,
        "inlined": _inlined(con),
        "views": [_view(con, name) for name in names],
        "files": files,
    }


def _rows(con: duckdb.DuckDBPyConnection, sql: str) -> dict[str, Any]:
    relation = con.execute(f"SELECT COLUMNS(*)::VARCHAR FROM ({sql})")
    columns = [c[0] for c in relation.description or []]
    return {"columns": columns, "rows": [list(row) for row in relation.fetchall()]}


def _name_files(con: duckdb.DuckDBPyConnection, tables: dict[str, Any]) -> list[dict[str, Any]]:
    root = con.execute("SELECT value FROM md.ducklake_metadata WHERE key = 'data_path'").fetchall()
    folders = dict(con.execute("SELECT table_id::VARCHAR, path FROM md.ducklake_table").fetchall())
    files: list[dict[str, Any]] = []
    for name in sorted(slices.FILE_TABLES):
        columns = tables[name]["columns"]
        for row in tables[name]["rows"]:
            at, relative = columns.index("path"), columns.index("path_is_relative")
            folder = f"{root[0][0]}main/{folders[row[columns.index('table_id')]]}"
            path = f"{folder}{row[at]}" if row[relative] == "true" else row[at]
            files.append({"ordinal": len(files), "path": path})
            row[at], row[relative] = len(files) - 1, "false"
    return files


def _inlined(con: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    found = []
    sql = (
        "SELECT table_name FROM duckdb_tables() WHERE database_name = 'md' "
        "AND regexp_matches(table_name, '^ducklake_inlined_(data|delete)_[0-9]')"
    )
    for (name,) in con.execute(sql).fetchall():
        described = con.execute(f"DESCRIBE md.{name}").fetchall()
        columns = [[column, kind] for column, kind, *_ in described]
        values = ", ".join(
            f'hex("{c}")' if kind == "BLOB" else f'CAST("{c}" AS VARCHAR)' for c, kind in columns
        )
        rows = con.execute(f"SELECT {values} FROM md.{name}").fetchall()
        found.append({"name": name, "columns": columns, "rows": [list(row) for row in rows]})
    return found


def _view(con: duckdb.DuckDBPyConnection, name: str) -> dict[str, Any]:
    rows = con.execute(
        "SELECT table_id FROM md.ducklake_table WHERE table_name = ? AND end_snapshot IS NULL",
        [name],
    ).fetchall()
    columns = [[row[0], None] for row in con.execute(f'DESCRIBE lake.main."{name}"').fetchall()]
    return {"schema": "main", "name": name, "table": f"t{rows[0][0]}", "columns": columns}
