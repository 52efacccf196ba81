"""The process that reads a customer's source and writes what is new into one Parquet file.

It runs no tenant SQL, knows neither Upend's database nor any bucket, and gets all that it needs
on stdin. Files of strangers are read by the same readers in a sandbox (`execution.importing`).
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

import duckdb
import pymysql

from catalog.connectors import mysql, parquet, postgresql, sqlite
from catalog.connectors.domain import Orders, Pulled, Unreadable
from catalog.writer.parent import end_with_parent
from catalog.writer.problems import redacted

READERS = {
    "mysql": mysql.pulled,
    "parquet": parquet.pulled,
    "postgresql": postgresql.pulled,
    "sqlite": sqlite.pulled,
}
EXPECTED = (duckdb.Error, pymysql.Error, Unreadable, OSError, RuntimeError)
"""PyMySQL tells of servers that ask for local files by a RuntimeError."""


def main() -> None:
    """Read the orders from stdin, write the file, and say on stdout what is in it."""
    orders = ordered()
    end_with_parent()
    answer(orders)


def ordered() -> Orders:
    """Return the orders, the first line of stdin."""
    return Orders.of_dict(json.loads(sys.stdin.readline()))


def answer(orders: Orders) -> None:
    """Carry the orders out, and say on stdout what came of it."""
    try:
        found = READERS[orders.kind](orders)
    except EXPECTED as error:
        text = redacted(_said(error), orders.secrets).replace(f"{orders.directory}/", "")
        found = Pulled(problem=text.partition("\n")[0][:500])
    sys.stdout.write(json.dumps(asdict(found)) + "\n")
    sys.stdout.flush()


def _said(error: Exception) -> str:
    """Return the words of an error; clients of databases put a number before them."""
    words = error.args[1] if isinstance(error, pymysql.Error) and error.args[1:] else error
    return str(words)


if __name__ == "__main__":
    main()
