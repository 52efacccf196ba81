"""The process that reads a customer's PostgreSQL and writes what is new into one Parquet file.

It runs no tenant SQL, knows neither Upend's database nor any bucket, and gets its one connection
string on stdin: allow-listed, to one host, with the address that was checked. The names of the
table and of the watermark's column are quoted; the watermark is a value, never SQL.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import duckdb

from catalog.writer.parent import end_with_parent
from catalog.writer.problems import redacted
from catalog.writer.quoting import quoted_name, quoted_text
from catalog.writer.session import extension_path

MEMORY = "1GB"


def main() -> None:
    """Read the orders from stdin, write the file, and say on stdout what is in it."""
    orders = json.loads(sys.stdin.readline())
    end_with_parent()
    try:
        answer = _pulled(orders)
    except duckdb.Error as error:
        text = redacted(str(error), (orders["conninfo"], orders["password"]))
        answer = {"problem": text.partition("\n")[0][:500]}
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _pulled(orders: dict[str, Any]) -> dict[str, Any]:
    con = duckdb.connect(
        ":memory:",
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "memory_limit": MEMORY,
            "secret_directory": "/nonexistent",
            "temp_directory": orders["directory"],
            "threads": 1,
        },
    )
    con.execute(f"LOAD {quoted_text(str(extension_path('postgres_scanner')))}")
    con.execute("SET TimeZone = 'UTC'")
    con.execute(f"ATTACH {quoted_text(orders['conninfo'])} AS src (TYPE postgres, READ_ONLY)")
    con.execute("BEGIN")  # the newest watermark and the rows are of one moment
    table = ".".join(quoted_name(part) for part in ("src", orders["schema"], orders["table"]))
    where, upto = "", None
    if orders["watermark_column"]:
        column = quoted_name(orders["watermark_column"])
        upto = orders["upto"] or _newest(con, table, column)
        if upto is None:
            return {"rows": 0, "upto": None}
        kind = con.execute(f"DESCRIBE SELECT {column} FROM {table}").fetchall()[0][1]  # noqa: S608 - quoted
        where = f" WHERE {column} <= CAST({quoted_text(upto)} AS {kind})"
        if orders["after"] is not None:
            where += f" AND {column} > CAST({quoted_text(orders['after'])} AS {kind})"
    rows = con.execute(
        f"COPY (SELECT * FROM {table}{where}) TO {quoted_text(orders['path'])} (FORMAT parquet)"  # noqa: S608 - quoted
    ).fetchall()[0][0]
    return {"rows": rows, "upto": upto}


def _newest(con: duckdb.DuckDBPyConnection, table: str, column: str) -> str | None:
    found = con.execute(f"SELECT CAST(max({column}) AS VARCHAR) FROM {table}").fetchone()  # noqa: S608 - quoted
    newest: str | None = found[0] if found else None
    return newest


if __name__ == "__main__":
    main()
