"""The process that reads a lake's metadata from a customer's PostgreSQL.

It runs no tenant SQL, sees none of Upend's own database, and gets its one connection string on
stdin: allow-listed, to one host, with the address that was checked. It reads one snapshot of the
database in a transaction that cannot write.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

import psycopg
from psycopg import sql

from catalog.adoption import frames, spec
from catalog.adoption.frames import Unreadable, Value
from catalog.writer.parent import end_with_parent

SETTINGS = (
    "SET LOCAL search_path = pg_catalog",
    "SET LOCAL statement_timeout = '30min'",
    "SET LOCAL lock_timeout = '10s'",
    "SET LOCAL idle_in_transaction_session_timeout = '30min'",
    "SET LOCAL TimeZone = 'UTC'",
    "SET LOCAL DateStyle = 'ISO, YMD'",
    "SET LOCAL IntervalStyle = 'postgres'",
    "SET LOCAL extra_float_digits = 3",
    "SET LOCAL bytea_output = 'hex'",
)
FINGERPRINT = (
    "SELECT count(*)::text, min(snapshot_id)::text, max(snapshot_id)::text,"
    " max(next_file_id)::text, max(snapshot_time)::text FROM {}"
)


def main() -> None:
    """Read the orders from stdin, write the metadata as frames to stdout."""
    orders = json.loads(sys.stdin.readline())
    end_with_parent()
    try:
        with psycopg.connect(orders["conninfo"]) as session:
            session.read_only = True
            session.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            for setting in SETTINGS:
                session.execute(setting)
            _read(session, orders["schema"], only_fingerprint=orders["only_fingerprint"])
        frames.write({"done": True})
    except Unreadable as refused:
        frames.write({"problem": refused.as_dict()})
    except psycopg.Error as error:
        frames.write({"problem": _explained(error, orders["password"]).as_dict()})


def _read(session: psycopg.Connection, schema: str, *, only_fingerprint: bool) -> None:
    known = _tables(session, schema)
    for table in spec.TABLES:
        if table not in known:
            raise frames.missing(table)
    place = sql.Identifier(schema, "ducklake_snapshot")
    found = session.execute(sql.SQL(FINGERPRINT).format(place)).fetchone()
    frames.write({"fingerprint": list(found or ())})
    if only_fingerprint:
        return
    for table, columns in spec.TABLES.items():
        names = [name for name, _ in columns]
        for name in names:
            if name not in known[table]:
                raise frames.missing(table, name)
        outputs = [sql.SQL("{}::text").format(sql.Identifier(name)) for name in names]
        frames.write_table(table, names, _rows(session, schema, table, outputs))
    for table, kinds in sorted(known.items()):
        if spec.INLINED_DATA.fullmatch(table) or spec.INLINED_DELETE.fullmatch(table):
            outputs = [_bytes(name, kind) for name, kind in kinds.items()]
            frames.write_table(table, list(kinds), _rows(session, schema, table, outputs))


def _tables(session: psycopg.Connection, schema: str) -> dict[str, dict[str, str]]:
    """Return the ordinary tables of the schema, with their columns and types."""
    found = session.execute(
        "SELECT c.relname, a.attname, format_type(a.atttypid, NULL)"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " JOIN pg_attribute a ON a.attrelid = c.oid"
        " WHERE n.nspname = %s AND c.relkind IN ('r', 'p') AND a.attnum > 0"
        " AND NOT a.attisdropped AND c.relname LIKE 'ducklake%%' ORDER BY c.relname, a.attnum",
        [schema],
    ).fetchall()
    known: dict[str, dict[str, str]] = {}
    for table, column, kind in found:
        known.setdefault(table, {})[column] = kind
    return known


def _rows(
    session: psycopg.Connection, schema: str, table: str, outputs: list[sql.Composed]
) -> Iterator[tuple[Value, ...]]:
    query = sql.SQL("SELECT {} FROM {}").format(
        sql.SQL(", ").join(outputs), sql.Identifier(schema, table)
    )
    with session.cursor("upend") as cursor:
        cursor.itersize = frames.ROWS
        cursor.execute(query)
        yield from cursor


def _bytes(name: str, kind: str) -> sql.Composed:
    """Return the expression of an inlined value as hexadecimal."""
    column = sql.Identifier(name)
    if kind == "bytea":
        return sql.SQL("encode({}, 'hex')").format(column)
    return sql.SQL("encode(convert_to({}::text, 'UTF8'), 'hex')").format(column)


def _explained(error: psycopg.Error, password: str) -> Unreadable:
    first = str(error).strip().partition("\n")[0]
    if password:
        first = first.replace(password, "***")
    return Unreadable(
        "metadata-unreadable",
        f"The database could not be read: {first[:300]}",
        "Give a user that may SELECT from every table of the lake's metadata schema.",
    )


if __name__ == "__main__":
    main()
