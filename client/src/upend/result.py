"""One kind of result, wherever the query ran: same rows, same types, same Python values.

Every result travels as Arrow with DuckDB's lossless extension types, together with the DuckDB
types the engine reported. Reading it back through DuckDB with casts to those types gives what the
engine itself would have given, to the last digit and time zone. VARIANT is the
exception: it arrives as DuckDB's text.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
from duckdb.sqltypes import DuckDBPyType

from upend import engines, kinds, plainly
from upend.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a result; `type` as DuckDB spells it, such as `DECIMAL(15,2)`."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about the run that made a result.

    `cached_at` is when an equal query had made the rows, where it was not this one; else empty.
    """

    query_id: str = ""
    place: str = ""
    why: str = ""
    plan: dict[str, Any] = field(default_factory=dict)
    bytes_read: int | None = None
    engine_seconds: float | None = None
    truncated: bool = False
    notice: str = ""
    cached_at: str = ""


class Result:
    """The rows of one query."""

    def __init__(self, table: pa.Table, columns: list[Column], facts: Facts) -> None:
        self._table = table
        self._columns = columns
        self._cursor: duckdb.DuckDBPyConnection | None = None
        self.facts = facts

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self.fetchall())

    def __repr__(self) -> str:
        shape = f"{len(self)} rows x {len(self._columns)} columns"
        return f"<upend.Result {shape}, ran on {self.place or 'unknown'}, query {self.query_id}>"

    @property
    def columns(self) -> list[str]:
        """Return the column names, in order; they may repeat."""
        return [column.name for column in self._columns]

    @property
    def types(self) -> list[str]:
        """Return the DuckDB types, in the order of the columns."""
        return [column.type for column in self._columns]

    @property
    def place(self) -> str:
        """Return where the query ran: `server` or `local`."""
        return self.facts.place

    @property
    def query_id(self) -> str:
        """Return the id under which the server keeps the query."""
        return self.facts.query_id

    @property
    def plan(self) -> dict[str, Any]:
        """Return the plan that was carried out, as `explain` shows it."""
        return self.facts.plan

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return all rows as tuples of Python values, the same ones DuckDB itself gives."""
        if (
            len(self) <= plainly.MOST_ROWS
            and (found := plainly.rows(self._table, self.types)) is not None
        ):
            return found
        return self._read().fetchall()

    def fetchone(self) -> tuple[Any, ...] | None:
        """Return the next row, None after the last one."""
        if self._cursor is None:
            self._cursor = self._read()
        row: tuple[Any, ...] | None = self._cursor.fetchone()
        return row

    def arrow(self) -> pa.Table:
        """Return the rows as an Arrow table, with the Arrow types DuckDB itself gives."""
        return self._read(lossless=False).to_arrow_table()

    def df(self) -> pd.DataFrame:
        """Return the rows as a pandas data frame."""
        _require("pandas")
        with _as_usage_error("pandas"):
            return self._read(lossless=False).df()

    def pl(self) -> pl.DataFrame:
        """Return the rows as a polars data frame."""
        _require("polars")
        from polars.exceptions import PolarsError  # noqa: PLC0415  # an optional package

        parsed = zip(self.columns, kinds.parse(self.types), strict=True)
        # polars does not refuse a UNION, it panics.
        columns = [
            f"c{i}{'::VARCHAR' if kind and kinds.holds(kind, 'union') else ''} AS {quoted(name)}"
            for i, (name, kind) in enumerate(parsed)
        ]
        with _as_usage_error("polars", PolarsError):
            return self._read(lossless=False, expressions=columns).pl()

    def head(self, rows: int) -> Result:
        """Return a result of the first `rows` rows."""
        return Result(self._table.slice(0, rows), self._columns, self.facts)

    def read(self, expressions: list[str] | None = None) -> duckdb.DuckDBPyConnection:
        """Open a connection over the rows; `expressions` say what of `c0`, `c1`, … to select."""
        return self._read(expressions=expressions)

    def _read(
        self, *, lossless: bool = True, expressions: list[str] | None = None
    ) -> duckdb.DuckDBPyConnection:
        con = _reader(lossless=lossless)
        # Columns by position: names may repeat.
        names = [f"c{position}" for position in range(len(self._columns))]
        con.register("result_in", self._table.rename_columns(names))
        casts = ", ".join(
            _cast(name, kind) for name, kind in zip(names, kinds.parse(self.types), strict=True)
        )
        chosen = expressions or [
            f"{name} AS {quoted(column.name)}"
            for name, column in zip(names, self._columns, strict=True)
        ]
        # Names are quoted and types are the engine's own, in an engine that reaches nothing else.
        sql = f"SELECT {', '.join(chosen)} FROM (SELECT {casts} FROM result_in)"  # noqa: S608
        return con.execute(sql)


def columns_of(relation: duckdb.DuckDBPyRelation) -> list[Column]:
    """Return the columns of what a relation would give."""
    return [
        Column(name, str(kind)) for name, kind in zip(relation.columns, relation.types, strict=True)
    ]


def arrow_form(relation: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    """Return `relation` with the columns that cannot leave the engine turned into text."""
    as_text = [kinds.travels_as_text(kind) for kind in relation.types]
    if not any(as_text):
        return relation
    terms = (f"#{i}::VARCHAR" if text else f"#{i}" for i, text in enumerate(as_text, start=1))
    return relation.project(", ".join(terms))


def _cast(name: str, kind: DuckDBPyType | None) -> str:
    if kind is None or kinds.travels_as_text(kind):
        return name
    return f"{name}::{kind} AS {name}"


def quoted(identifier: str) -> str:
    """Return `identifier` quoted for SQL."""
    return '"' + identifier.replace('"', '""') + '"'


def _reader(*, lossless: bool) -> duckdb.DuckDBPyConnection:
    """Return a connection to an engine that can do nothing but read what it is given.

    There is one for each form: the setting is the engine's, not the connection's.
    """
    con = engines.connection("lossless" if lossless else "plain", engines.CONFINED)
    con.execute("SET TimeZone='UTC'")
    con.execute(f"SET arrow_lossless_conversion={str(lossless).lower()}")
    return con


@contextmanager
def _as_usage_error(package: str, *errors: type[Exception]) -> Iterator[None]:
    """Say which type a data frame has no form for, instead of what its library says."""
    expected: tuple[type[Exception], ...] = (
        duckdb.NotImplementedException,
        duckdb.ConversionException,
        *errors,
    )
    try:
        yield
    except expected as error:
        raise UsageError(
            f"{package} cannot hold this result: {error}",
            code="frame-type",
            hint="CAST the column to VARCHAR in the query, or use .arrow() or .fetchall().",
        ) from error


def _require(module: str) -> None:
    try:
        __import__(module)
    except ImportError as error:
        raise UsageError(
            f"{module} is not installed.", code="missing-package", hint=f"pip install {module}"
        ) from error
