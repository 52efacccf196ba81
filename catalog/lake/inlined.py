"""Reads rows that live in the metadata instead of in files: inlined inserts and deletes.

A lake keeps one table of inlined rows per table and schema version, with the columns that the
table had then. PostgreSQL stores VARCHAR and BLOB as bytea (a string may hold a zero byte), and
what it has no equal type for as DuckDB's text.
Source: https://ducklake.select/docs/stable/duckdb/advanced_features/data_inlining
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import LiteralString

from psycopg import sql

from catalog.domain import Column, Table
from catalog.lake.columns import columns_of
from catalog.lake.evolution import Shape, is_reshaped, reshaped, shape_of
from catalog.lake.metadata import LIVE, Row, existing, relation, rows
from catalog.models import Catalog

NAME_BYTES = 63
"""PostgreSQL cuts longer identifiers, so inlined tables carry cut column names."""

LIVE_COUNT: LiteralString = (
    "SELECT count(*) FROM {inlined} WHERE begin_snapshot <= %(snapshot)s"
    " AND (end_snapshot IS NULL OR end_snapshot > %(snapshot)s)"
)
INTERVAL: LiteralString = (
    "(extract(year FROM {0}) * 12 + extract(month FROM {0}))::bigint || ' months '"
    " || extract(day FROM {0})::bigint || ' days '"
    " || ((extract(hour FROM {0}) * 60 + extract(minute FROM {0})) * 60000000"
    " + extract(microseconds FROM {0}))::bigint || ' microseconds'"
)


@dataclass(frozen=True, slots=True)
class InlinedRows:
    """The live inlined rows of one table, under its columns as they are named and typed now.

    `columns` are (name, engine type). Values are text that casts exactly to that type, however
    old the rows; text of a `BLOB` is hexadecimal, for `unhex`.
    """

    table_id: int
    columns: tuple[tuple[str, str], ...]
    row_ids: tuple[int, ...]
    rows: tuple[tuple[str | None, ...], ...]


def counts(catalog: Catalog, snapshot_id: int, table_id: int) -> tuple[int, int]:
    """Return how many inlined rows are live, and how many rows of live files are deleted inline."""
    parts: list[sql.Composable] = [
        _counted(catalog, name) for name, _ in _versions(catalog, table_id)
    ]
    deletes = deletes_table(table_id)
    parts.append(sql.SQL("SELECT 0"))
    inserted = sql.SQL(" UNION ALL ").join(parts)
    deleted: sql.Composable = sql.SQL("0")
    if existing(catalog, [deletes]):
        deleted = sql.SQL(
            "(SELECT count(*) FROM {0} d JOIN {1} f ON f.data_file_id = d.file_id"
            " WHERE d.begin_snapshot <= %(snapshot)s AND f.table_id = %(table)s"
            " AND f.begin_snapshot <= %(snapshot)s"
            " AND (f.end_snapshot IS NULL OR f.end_snapshot > %(snapshot)s))"
        ).format(
            sql.Identifier(catalog.metadata_schema, deletes),
            sql.Identifier(catalog.metadata_schema, "ducklake_data_file"),
        )
    found = rows(
        catalog,
        "SELECT (SELECT sum(n)::bigint FROM ({inserted}) AS i(n)), {deleted}",
        {"snapshot": snapshot_id, "table": table_id},
        inserted=inserted,
        deleted=deleted,
    )
    return found[0][0], found[0][1]


def deletes_table(table_id: int) -> str:
    """Return the name of the table of inlined deletes; it exists once there was one."""
    return f"ducklake_inlined_delete_{table_id:d}"


def inlined_rows(
    catalog: Catalog, snapshot_id: int, table: Table, column_ids: frozenset[int] | None = None
) -> InlinedRows:
    """Return the table's live inlined rows, in the order of their row ids.

    `column_ids` keeps only these top-level columns. Columns are found by their field id, so
    that renames and swaps of names are followed; one that was added later carries its initial
    default.
    """
    wanted = [c for c in table.top_columns if column_ids is None or c.column_id in column_ids]
    found: list[Row] = []
    for name, version in _live(catalog, snapshot_id, _versions(catalog, table.table_id)):
        begin = _begin(catalog, table.table_id, version, snapshot_id)
        if begin is not None:
            then = columns_of(catalog, begin, [table.table_id]).get(table.table_id, ())
            stored = _read(catalog, name, snapshot_id, wanted, {c.column_id: c for c in then})
            found += _reshaped(stored, wanted, then, table) if stored else []
    found.sort(key=lambda row: int(row[0]))
    return InlinedRows(
        table_id=table.table_id,
        columns=tuple((c.name, c.duckdb_type) for c in wanted),
        row_ids=tuple(row[0] for row in found),
        rows=tuple(row[1:] for row in found),
    )


def _versions(catalog: Catalog, table_id: int) -> list[tuple[str, int]]:
    found = rows(
        catalog,
        "SELECT table_name, schema_version FROM {ducklake_inlined_data_tables}"
        " WHERE table_id = %(table)s ORDER BY schema_version",
        {"table": table_id},
    )
    return [(name, version) for name, version in found]


def _live(
    catalog: Catalog, snapshot_id: int, versions: Sequence[tuple[str, int]]
) -> list[tuple[str, int]]:
    """Return the versions with live rows: mostly none, since rows are flushed into files."""
    if not versions:
        return []
    text = "EXISTS (SELECT 1 FROM {inlined} WHERE {live})"
    parts = [
        sql.SQL(text).format(inlined=relation(catalog.metadata_schema, name), live=LIVE)
        for name, _ in versions
    ]
    (found,) = rows(
        catalog, "SELECT {parts}", {"snapshot": snapshot_id}, parts=sql.SQL(", ").join(parts)
    )
    return [version for version, has_rows in zip(versions, found, strict=True) if has_rows]


def _begin(catalog: Catalog, table_id: int, version: int, snapshot_id: int) -> int | None:
    """Return the first snapshot of a table's schema version, None if it is after `snapshot_id`."""
    found = rows(
        catalog,
        "SELECT coalesce((SELECT min(begin_snapshot) FROM {ducklake_schema_versions}"
        " WHERE table_id = %(table)s AND schema_version = %(version)s),"
        " (SELECT min(begin_snapshot) FROM {ducklake_table} WHERE table_id = %(table)s))",
        {"table": table_id, "version": version},
    )
    begin: int | None = found[0][0]
    return None if begin is None or begin > snapshot_id else begin


def _read(
    catalog: Catalog,
    name: str,
    snapshot_id: int,
    wanted: list[Column],
    then: dict[int, Column],
) -> list[Row]:
    outputs = [_output(column, then.get(column.column_id)) for column in wanted]
    return rows(
        catalog,
        "SELECT {outputs} FROM {inlined} WHERE {live} ORDER BY row_id",
        {"snapshot": snapshot_id},
        outputs=sql.SQL(", ").join([sql.Identifier("row_id"), *outputs]),
        inlined=sql.Identifier(catalog.metadata_schema, name),
    )


def _reshaped(
    stored: list[Row], wanted: list[Column], then: Sequence[Column], table: Table
) -> list[Row]:
    """Return the rows as text, nested values in the shape that their column has now."""
    old = {c.column_id: shape_of(c, then) for c in then if c.parent_id is None}
    changes = []
    for column in wanted:
        before, now = old.get(column.column_id), shape_of(column, table.columns)
        is_changed = before is not None and is_reshaped(before, now)
        changes.append((before, now) if before and is_changed else None)
    return [
        (row[0], *(_value(value, change) for value, change in zip(row[1:], changes, strict=True)))
        for row in stored
    ]


def _value(value: bytes | str | None, change: tuple[Shape, Shape] | None) -> str | None:
    text = value.decode() if isinstance(value, bytes) else value
    return reshaped(text, *change) if text is not None and change else text


def _output(column: Column, then: Column | None) -> sql.Composable:
    """Return the expression that yields one column's value as bytes or exact text."""
    if then is None:
        return sql.Literal(_default(column))
    stored = sql.Identifier(then.name.encode()[:NAME_BYTES].decode(errors="ignore"))
    match then.ducklake_type:
        case "varchar" | "json":
            return stored
        case "blob":
            return sql.SQL("encode({0}, 'hex')").format(stored)
        case "float32" if column.ducklake_type == "float64":
            return sql.SQL("{0}::double precision::text").format(stored)
        case "interval":
            return sql.SQL(INTERVAL).format(stored)
        case _:
            return sql.SQL("{0}::text").format(stored)


def _default(column: Column) -> str | None:
    """Return the initial default as text of the column's type; a blob's as hexadecimal."""
    text = column.initial_default
    if text is None or column.ducklake_type != "blob":
        return text
    return "".join(
        part[2:] if part.startswith("\\x") else part.encode().hex()
        for part in re.findall(r"\\x[0-9A-Fa-f]{2}|[^\\]", text)
    )


def _counted(catalog: Catalog, name: str) -> sql.Composed:
    return sql.SQL(LIVE_COUNT).format(inlined=sql.Identifier(catalog.metadata_schema, name))
