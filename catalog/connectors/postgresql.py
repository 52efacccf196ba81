"""Reads what is new in a table of a customer's PostgreSQL.

The connection string is allow-listed, to one host, with the address that was checked. The names
of the table and of the watermark's column are quoted; the watermark is a value, never SQL.
"""

from __future__ import annotations

import duckdb

from catalog.connectors.domain import Orders, Pulled
from catalog.connectors.engine import engine
from catalog.writer.quoting import quoted_name, quoted_text
from catalog.writer.session import extension_path


def pulled(orders: Orders) -> Pulled:
    """Write the rows that are wanted into the file."""
    con, wanted = engine(orders.directory), orders.wanted
    con.execute(f"LOAD {quoted_text(str(extension_path('postgres_scanner')))}")
    source = quoted_text(orders.source["conninfo"])
    con.execute(f"ATTACH {source} AS src (TYPE postgres, READ_ONLY)")
    con.execute("BEGIN")  # the newest watermark and the rows are of one moment
    table = ".".join(quoted_name(part) for part in ("src", wanted.schema, wanted.table))
    if orders.only_look:
        found = con.execute(f"DESCRIBE SELECT * FROM {table}").fetchall()  # noqa: S608 - quoted
        return Pulled(columns=tuple((row[0], row[1]) for row in found))
    where, upto = "", None
    if wanted.watermark_column:
        column = quoted_name(wanted.watermark_column)
        upto = wanted.upto or _newest(con, table, column)
        if upto is None:
            return Pulled()
        kind = con.execute(f"DESCRIBE SELECT {column} FROM {table}").fetchall()[0][1]  # noqa: S608 - quoted
        where = f" WHERE {column} <= CAST({quoted_text(upto)} AS {kind})"
        if wanted.after is not None:
            where += f" AND {column} > CAST({quoted_text(wanted.after)} AS {kind})"
    rows = con.execute(
        f"COPY (SELECT * FROM {table}{where}) TO {quoted_text(orders.path)} (FORMAT parquet)"  # noqa: S608 - quoted
    ).fetchall()[0][0]
    return Pulled(rows, upto)


def _newest(con: duckdb.DuckDBPyConnection, table: str, column: str) -> str | None:
    found = con.execute(f"SELECT CAST(max({column}) AS VARCHAR) FROM {table}").fetchone()  # noqa: S608 - quoted
    newest: str | None = found[0] if found else None
    return newest
