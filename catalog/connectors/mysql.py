"""Reads what is new in a table of a customer's MySQL or MariaDB.

The connection goes to the address that was checked; the server may not ask for local files, and
TLS that was asked for is never done without. Names are quoted and values escaped.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pymysql
from pymysql.cursors import SSCursor

from catalog.connectors.domain import Orders, Pulled, Range, Unreadable
from catalog.connectors.rows import ROWS, Field, written

CONNECT_SECONDS = 5
READ_SECONDS = 600
MAX_DECIMAL = 38
INTEGERS = {
    "tinyint": (pa.int8(), pa.uint8()),
    "smallint": (pa.int16(), pa.uint16()),
    "mediumint": (pa.int32(), pa.uint32()),
    "int": (pa.int32(), pa.uint32()),
    "bigint": (pa.int64(), pa.uint64()),
}
OTHERS = {
    "binary": pa.binary(),
    "blob": pa.binary(),
    "char": pa.string(),
    "date": pa.date32(),
    "datetime": pa.timestamp("us"),
    "double": pa.float64(),
    "enum": pa.string(),
    "float": pa.float32(),
    "longblob": pa.binary(),
    "longtext": pa.string(),
    "mediumblob": pa.binary(),
    "mediumtext": pa.string(),
    "set": pa.string(),
    "text": pa.string(),
    "timestamp": pa.timestamp("us", "UTC"),
    "tinyblob": pa.binary(),
    "tinytext": pa.string(),
    "varbinary": pa.binary(),
    "varchar": pa.string(),
    "year": pa.int16(),
}
DATES = frozenset({"date", "datetime", "timestamp"})
SHAPES = frozenset({
    "geometry", "geometrycollection", "geomcollection", "linestring", "multilinestring",
    "multipoint", "multipolygon", "point", "polygon",
})  # fmt: skip
GROWING = frozenset({*INTEGERS, *DATES, "char", "decimal", "uuid", "varchar"})
"""Types that a watermark can have: they come back from text as they were."""
UNSIGNED = re.compile(r"\bunsigned\b")
COLUMNS = (
    "SELECT column_name, data_type, column_type, numeric_precision, numeric_scale"
    " FROM information_schema.columns WHERE table_schema = %s AND table_name = %s"
    " AND extra NOT LIKE '%%INVISIBLE%%' ORDER BY ordinal_position"
)


def pulled(orders: Orders) -> Pulled:
    """Write the rows that are wanted into the file."""
    wanted = orders.wanted
    with _connected(orders.source) as con:
        types, fields = _fields(con, wanted)
        if orders.only_look:
            return Pulled(columns=tuple((one.name, types[one.name]) for one in fields))
        where, upto = "", None
        if wanted.watermark_column:
            _check_watermark(wanted.watermark_column, types)
            upto = wanted.upto or _newest(con, wanted)
            if upto is None:
                return Pulled()
            where = _where(con, wanted, types[wanted.watermark_column], upto)
        selected = ", ".join(one.expression for one in fields)
        text = f"SELECT {selected} FROM {_table(wanted)}{where}"  # noqa: S608 - quoted and escaped
        return Pulled(written(orders.path, fields, _batches(con, text)), upto)


def _connected(given: dict[str, Any]) -> pymysql.Connection[Any]:
    """Return a session that sees one moment, in UTC."""
    con = pymysql.Connection(
        host=given["host"],
        port=given["port"],
        user=given["user"],
        password=given["password"].encode(),
        database=given["database"],
        charset="utf8mb4",
        sql_mode="",
        local_infile=False,
        read_timeout=READ_SECONDS,
        write_timeout=READ_SECONDS,
        defer_connect=True,
        **_tls(given),
    )
    con.connect(socket.create_connection((given["address"], given["port"]), CONNECT_SECONDS))
    with con.cursor() as cursor:
        cursor.execute("SET SESSION time_zone = '+00:00'")
        cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
    return con


def _tls(given: dict[str, Any]) -> dict[str, Any]:
    match given["sslmode"]:
        case "disable":
            return {"ssl_disabled": True}
        case "prefer":
            return {}
        case "require":
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            return {"ssl": context}
    return {"ssl": ssl.create_default_context(cafile=given["authorities"])}


def _fields(con: pymysql.Connection[Any], wanted: Range) -> tuple[dict[str, str], Sequence[Field]]:
    """Return the types of the columns by their names, and how each is read."""
    with con.cursor() as cursor:
        cursor.execute(COLUMNS, (wanted.schema, wanted.table))
        found = cursor.fetchall()
    if not found:
        raise Unreadable(
            f"There is no table {wanted.schema}.{wanted.table} that this user may read."
        )
    types = {str(row[0]): str(row[1]).lower() for row in found}
    return types, [_field(*row) for row in found]


def _field(name: str, kind: str, full_type: str, precision: int | None, scale: int | None) -> Field:
    quoted, kind = _quoted(name), kind.lower()
    if kind in INTEGERS:
        signed, unsigned = INTEGERS[kind]
        return Field(name, quoted, unsigned if UNSIGNED.search(full_type.lower()) else signed)
    if kind == "decimal" and (precision or 0) <= MAX_DECIMAL:
        return Field(name, quoted, pa.decimal128(precision or 10, scale or 0))
    if kind in OTHERS:
        return Field(name, quoted, OTHERS[kind], _date if kind in DATES else None)
    if kind == "bit":
        return Field(name, f"CAST({quoted} AS UNSIGNED)", pa.uint64())
    if kind in SHAPES:
        return Field(name, f"ST_AsBinary({quoted})", pa.binary())
    return Field(name, f"CAST({quoted} AS CHAR)", pa.string())


def _date(value: Any) -> Any:
    """Return a date, or None for what is none to any calendar, such as 0000-00-00."""
    return value if isinstance(value, date) else None


def _check_watermark(column: str, types: dict[str, str]) -> None:
    if column not in types:
        raise Unreadable(f"There is no column {column}, which was to be the watermark.")
    if types[column] not in GROWING:
        raise Unreadable(
            f"{column} is a {types[column]}: take an integer, a decimal, a date or a text."
        )


def _newest(con: pymysql.Connection[Any], wanted: Range) -> str | None:
    column = _quoted(wanted.watermark_column)
    with con.cursor() as cursor:
        cursor.execute(f"SELECT MAX({column}) FROM {_table(wanted)}")  # noqa: S608 - quoted
        found = cursor.fetchone()
    return None if found is None or found[0] is None else str(found[0])


def _where(con: pymysql.Connection[Any], wanted: Range, kind: str, upto: str) -> str:
    """Return the condition; numbers are spelled as such: texts would be compared as floats."""
    column = _quoted(wanted.watermark_column)

    def spelled(text: str) -> str:
        value = int(text) if kind in INTEGERS else Decimal(text) if kind == "decimal" else text
        escaped: str = con.escape(value)
        return escaped

    where = f" WHERE {column} <= {spelled(upto)}"
    return where if wanted.after is None else f"{where} AND {column} > {spelled(wanted.after)}"


def _batches(con: pymysql.Connection[Any], text: str) -> Iterator[Sequence[Sequence[Any]]]:
    with con.cursor(SSCursor) as cursor:
        cursor.execute(text)
        while rows := cursor.fetchmany(ROWS):
            yield rows


def _table(wanted: Range) -> str:
    return f"{_quoted(wanted.schema)}.{_quoted(wanted.table)}"


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
