"""Rows as Arrow carries them, exact in every type and named as the query names them."""

from __future__ import annotations

from typing import Any

import duckdb
import pyarrow as pa

from execution.engine.domain import ROWS_PER_BATCH

WITHOUT_ARROW_FORM = {
    "bignum",
    "bit",
    "enum",
    "time with time zone",
    "uhugeint",
    "variant",
}
"""Types that Arrow would reinterpret, truncate or scatter over dictionaries: sent as DuckDB's text.

Arrow's decimal128 turns a large UHUGEINT negative, and time64 has no place for an offset.
"""


def has_arrow_form(kind: Any) -> bool:
    """Tell whether Arrow carries every value of a DuckDB type, at any depth, unchanged."""
    if kind.id in WITHOUT_ARROW_FORM:
        return False
    if kind.id in {"list", "array", "map", "struct", "union"}:
        children = [child for _, child in kind.children if not isinstance(child, int)]
        return all(has_arrow_form(child) for child in children)
    return True


def ask(
    connection: duckdb.DuckDBPyConnection, sql: str
) -> tuple[list[tuple[str, str]], pa.RecordBatchReader]:
    """Return the columns of a query as DuckDB spells them, and its rows as they come.

    It is begun at once: to look at its types beforehand would bind it twice. Where Arrow lacks
    one of them, it is begun again so that these travel as text.
    """
    connection.execute(sql)
    described = connection.description or []
    columns = [(str(name), str(kind)) for name, kind, *_ in described]
    fit = [has_arrow_form(kind) for _, kind, *_ in described]
    return columns, _rows(connection, sql, [name for name, _ in columns], fit)


def _rows(
    connection: duckdb.DuckDBPyConnection, sql: str, names: list[str], fit: list[bool]
) -> pa.RecordBatchReader:
    """Return the rows of the query that runs with its own column names, exact in every type."""
    if all(fit):
        reader = connection.to_arrow_reader(ROWS_PER_BATCH)
    else:
        terms = (f"#{i}" if ok else f"#{i}::VARCHAR" for i, ok in enumerate(fit, start=1))
        reader = connection.sql(sql).project(", ".join(terms)).to_arrow_reader(ROWS_PER_BATCH)
    schema = pa.schema([field.with_name(n) for field, n in zip(reader.schema, names, strict=True)])
    return pa.RecordBatchReader.from_batches(
        schema, (pa.RecordBatch.from_arrays(batch.columns, schema=schema) for batch in reader)
    )
