"""Reads Parquet files of a customer's, fetched beforehand, into one: a bad one spoils no other.

Files of one run have the same columns and types; others wait for a run of their own, so that
nothing is widened or cast because of what happened to lie beside it.
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from catalog.connectors.domain import Columns, Orders, Pulled, Shape
from catalog.connectors.engine import engine
from catalog.writer.quoting import quoted_text


def pulled(orders: Orders) -> Pulled:
    """Write the rows of the files in `source["files"]` into one file; or look at their footers."""
    con = engine(orders.directory)
    files: list[str] = orders.source["files"]
    bad: dict[int, str] = {}
    shapes: dict[int, Columns] = {}
    for place, path in enumerate(files):
        try:
            shapes[place] = _columns(con, path)
        except duckdb.Error as error:
            bad[place] = _why(error, path)
    columns = next(iter(shapes.values()), ())
    if orders.only_look:
        seen = {place: Shape(shape, _count(con, files[place])) for place, shape in shapes.items()}
        return Pulled(columns=columns, shapes=seen, bad=bad)
    left = tuple(place for place, shape in shapes.items() if shape != columns)
    good = [place for place in shapes if place not in left]
    rows = _copied(con, orders, good, bad)
    return Pulled(rows, columns=columns, bad=bad, left=left)


def _copied(
    con: duckdb.DuckDBPyConnection, orders: Orders, good: Sequence[int], bad: dict[int, str]
) -> int:
    """Copy the good files, and find the bad among them where that fails; return the rows."""
    files: list[str] = orders.source["files"]
    if not good:
        return 0
    try:
        return _copy(con, [files[place] for place in good], orders.path)
    except duckdb.Error as together:
        for place in good:
            try:
                _copy(con, [files[place]], orders.path)
            except duckdb.Error as error:
                bad[place] = _why(error, files[place])
        readable = [files[place] for place in good if place not in bad]
        if len(readable) == len(good):
            raise together from together
        return _copy(con, readable, orders.path) if readable else 0


def _columns(con: duckdb.DuckDBPyConnection, path: str) -> Columns:
    found = con.execute(f"DESCRIBE SELECT * FROM {_source([path])}").fetchall()  # noqa: S608 - quoted
    return tuple((row[0], row[1]) for row in found)


def _count(con: duckdb.DuckDBPyConnection, path: str) -> int:
    """Return how many rows a file's footer says that it has."""
    text = "SELECT sum(num_rows)::BIGINT FROM parquet_file_metadata(?)"
    return int(con.execute(text, [path]).fetchall()[0][0])


def _copy(con: duckdb.DuckDBPyConnection, paths: list[str], target: str) -> int:
    said = con.execute(
        f"COPY (SELECT * FROM {_source(paths)}) TO {quoted_text(target)} (FORMAT parquet)"  # noqa: S608 - quoted
    ).fetchall()
    return int(said[0][0])


def _source(paths: list[str]) -> str:
    quoted = ", ".join(map(quoted_text, paths))
    return f"read_parquet([{quoted}], hive_partitioning = true)"


def _why(error: Exception, path: str) -> str:
    """Return the first line of an engine's error, without where the file lay here."""
    first = str(error).partition("\n")[0].replace("Invalid Input Error: ", "")
    return first.replace(f" in file '{path}'", "").replace(path, "the file")[:300]
