"""What a column holds, asked as an ordinary query: masks and row filters apply by construction."""

from __future__ import annotations

import re

from catalog.domain import Column, Table
from catalog.lake.types import quoted

BINS = 20
TOP = 10
NUMBERS = re.compile(r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|FLOAT|DOUBLE|DECIMAL\(.*\)")
TIMES = re.compile(r"DATE|TIMESTAMP.*")
NESTED = re.compile(r"STRUCT\(.*|MAP\(.*|.*\[\]|JSON|BLOB", re.DOTALL)

FACTS = """SELECT 'fact' AS kind, unnest(['rows', 'nulls', 'distinct', 'min', 'max']) AS label,
  unnest([count(*)::VARCHAR, (count(*) - count(v))::VARCHAR, approx_count_distinct(v)::VARCHAR,
    {least}, {greatest}]) AS value, 0 AS place
FROM profiled"""
# ruff: noqa: S608 - numbers, and names that are quoted
TOP_VALUES = f"""SELECT 'top', v::VARCHAR, count(*)::VARCHAR, row_number() OVER (
  ORDER BY count(*) DESC, v::VARCHAR)
FROM profiled WHERE v IS NOT NULL GROUP BY v ORDER BY 4 LIMIT {TOP}"""
HISTOGRAM = f"""SELECT 'bin', min(v)::VARCHAR || ' … ' || max(v)::VARCHAR, count(*)::VARCHAR, bin
FROM (SELECT v, least(CASE WHEN high > low THEN floor((n - low) / (high - low) * {BINS}) ELSE 0
  END, {BINS - 1})::INTEGER AS bin
  FROM (SELECT v, {{number}} AS n, min({{number}}) OVER () AS low, max({{number}}) OVER () AS high
    FROM profiled WHERE v IS NOT NULL AND isfinite({{number}})) AS spread) AS binned
GROUP BY bin"""


def table_profile(table: Table) -> str:
    """Return the query for every column: nulls, distinct (approximately), least and greatest."""
    return f"SUMMARIZE {_name(table)}"


def column_profile(table: Table, column: Column) -> str:
    """Return the query for one column: rows of (kind, label, value, place).

    Kinds are `fact` (rows, nulls, distinct, min, max), `top` values with their counts, and `bin`s
    of a histogram, of numbers and times.
    """
    kind = column.duckdb_type
    is_plain = NESTED.fullmatch(kind) is None
    parts = [
        FACTS.format(
            least="min(v)::VARCHAR" if is_plain else "NULL",
            greatest="max(v)::VARCHAR" if is_plain else "NULL",
        )
    ]
    if is_plain:
        parts.append(f"({TOP_VALUES})")
    if number := _number(kind):
        parts.append(f"({HISTOGRAM.format(number=number)})")
    profiled = f"SELECT {quoted(column.name)} AS v FROM {_name(table)}"
    return f"WITH profiled AS ({profiled})\n{' UNION ALL '.join(parts)}\nORDER BY 1, 4"


def _number(kind: str) -> str:
    """Return how a value of the type becomes a number; nothing where it is none."""
    if NUMBERS.fullmatch(kind):
        return "v::DOUBLE"
    return "epoch(v)" if TIMES.fullmatch(kind) else ""


def _name(table: Table) -> str:
    parts = (table.catalog_name, table.schema_name, table.name)
    return ".".join(quoted(part) for part in parts)
