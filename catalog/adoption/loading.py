"""Writes what was read of a stranger's metadata into a schema of Upend's own, in one transaction.

Tables are made from the specification, never from what a stranger says of them. Inlined rows get
the types of DuckLake's own list of columns: a text that a SQLite file keeps is not reinterpreted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql

from catalog.adoption import spec
from catalog.adoption.frames import Unreadable

NAME_BYTES = 63

Columns = tuple[tuple[str, str], ...]

COLUMNS_THEN = (
    "SELECT column_name, column_type FROM {columns} WHERE table_id = %(table)s"
    " AND parent_column IS NULL AND begin_snapshot <= %(begin)s"
    " AND (end_snapshot IS NULL OR end_snapshot > %(begin)s) ORDER BY column_order"
)
BEGIN = (
    "SELECT coalesce((SELECT min(begin_snapshot) FROM {versions}"
    " WHERE table_id = %(table)s AND schema_version = %(version)s),"
    " (SELECT min(begin_snapshot) FROM {tables} WHERE table_id = %(table)s))"
)
FORGET_MARKS = (
    "UPDATE {changes} SET commit_extra_info = 'adopted:' || commit_extra_info"
    " WHERE commit_extra_info LIKE 'upend-job:%'"
)


@dataclass(slots=True)
class Loader:
    """One import. Feed it every frame, then `finish`; whoever owns the session commits."""

    session: psycopg.Connection
    schema: str
    root: str = ""
    """Where the lake's files lie by Upend's own register; replaces what the lake says."""
    rows: int = 0
    not_adopted: dict[str, int] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    """What `ducklake_metadata` says of the whole lake."""
    _table: str = ""
    _names: tuple[str, ...] = ()
    _columns: Columns = ()

    def begin(self) -> None:
        """Make the schema with every table of the specification."""
        self.session.execute(sql.SQL("SET LOCAL TimeZone = 'UTC'"))
        name = sql.Identifier(self.schema)
        self.session.execute(sql.SQL("CREATE SCHEMA {}").format(name))
        for table, columns in spec.TABLES.items():
            self._create(table, columns)

    def take(self, frame: dict[str, Any]) -> None:
        """Take one frame. Raises `Unreadable`, or `psycopg.Error` for values that do not fit."""
        if "table" in frame:
            self._open(str(frame["table"]), tuple(map(str, frame["columns"])))
        elif "rows" in frame:
            self._load(frame["rows"])

    def finish(self) -> None:
        """Put right what must be Upend's: the lake's root, and no commit marks of others."""
        changes = sql.Identifier(self.schema, "ducklake_snapshot_changes")
        self.session.execute(sql.SQL(FORGET_MARKS).format(changes=changes))
        metadata = sql.Identifier(self.schema, "ducklake_metadata")
        self.session.execute(
            sql.SQL("UPDATE {} SET value = %s WHERE key = 'data_path'").format(metadata),
            [self.root],
        )

    def _open(self, table: str, names: tuple[str, ...]) -> None:
        """Begin a table: one of the specification, or one of inlined rows, which is made now."""
        self._table, self._names = table, names
        if table in spec.TABLES:
            self._columns = spec.TABLES[table]
        elif spec.INLINED_DELETE.fullmatch(table):
            self._columns = spec.DELETE_COLUMNS
            self._create(table, self._columns)
        elif found := spec.INLINED_DATA.fullmatch(table):
            self._columns = self._inlined(int(found[1]), int(found[2]))
            self._create(table, self._columns)
        else:
            raise Unreadable("not-a-ducklake", f"There is a table {table[:80]!r} in the metadata.")
        if [n for n, _ in self._columns] != [_cut(name) for name in names]:
            raise Unreadable(
                "metadata-damaged",
                f"The columns of {table} are not those that the lake's own list says.",
                "Was the metadata changed by hand? Restore it from a backup.",
            )

    def _inlined(self, table_id: int, version: int) -> Columns:
        """Return the columns of a table of inlined rows, by the lake's own list of that time."""
        known = {"table": table_id, "version": version}
        found = self.session.execute(
            sql.SQL(BEGIN).format(
                versions=sql.Identifier(self.schema, "ducklake_schema_versions"),
                tables=sql.Identifier(self.schema, "ducklake_table"),
            ),
            known,
        ).fetchone()
        columns = self.session.execute(
            sql.SQL(COLUMNS_THEN).format(columns=sql.Identifier(self.schema, "ducklake_column")),
            known | {"begin": found[0] if found else None},
        ).fetchall()
        return (
            *spec.INLINED_SYSTEM,
            *((_cut(name), spec.stored_type(kind)) for name, kind in columns),
        )

    def _create(self, table: str, columns: Columns) -> None:
        key = spec.KEYS.get(table)
        parts = [
            sql.SQL("{} {}{}").format(
                sql.Identifier(name),
                sql.SQL(kind),
                sql.SQL(" PRIMARY KEY" if name == key else ""),
            )
            for name, kind in columns
        ]
        self.session.execute(
            sql.SQL("CREATE TABLE {} ({})").format(
                sql.Identifier(self.schema, table), sql.SQL(", ").join(parts)
            )
        )

    def _load(self, rows: list[list[str | None]]) -> None:
        self.rows += len(rows)
        if self._table in spec.NOT_ADOPTED:
            self.not_adopted[self._table] = self.not_adopted.get(self._table, 0) + len(rows)
            return
        if self._table == "ducklake_metadata":
            self.said |= {str(r[0]): str(r[1]) for r in rows if r[2] is None}
            if (version := self.said.get("version", "")) != spec.VERSION:
                raise older(version)
        is_inlined = self._table not in spec.TABLES
        names = [sql.Identifier(name) for name, _ in self._columns]
        copy = sql.SQL("COPY {} ({}) FROM STDIN").format(
            sql.Identifier(self.schema, self._table), sql.SQL(", ").join(names)
        )
        with self.session.cursor() as cursor, cursor.copy(copy) as stream:
            for row in self._plain(rows) if is_inlined else rows:
                stream.write_row(row)

    def _plain(self, rows: list[list[str | None]]) -> Iterable[list[str | None]]:
        """Yield inlined rows as PostgreSQL reads them: from hexadecimal bytes."""
        is_bytes = [kind == "bytea" for _, kind in self._columns]
        for row in rows:
            yield [
                None if value is None else f"\\x{value}" if raw else bytes.fromhex(value).decode()
                for value, raw in zip(row, is_bytes, strict=True)
            ]


def older(version: str) -> Unreadable:
    """Return the refusal of another version of the specification."""
    return Unreadable(
        "ducklake-version",
        f"The lake is of DuckLake {version[:20] or 'unknown'}; Upend adopts {spec.VERSION}.",
        "Attach it once with DuckDB 1.5 and AUTOMATIC_MIGRATION true, which brings it up; then"
        " try again.",
    )


def _cut(name: str) -> str:
    """Return a column's name as PostgreSQL keeps it."""
    return name.encode()[:NAME_BYTES].decode(errors="ignore")
