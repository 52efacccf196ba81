"""Renders DuckLake's column types as the engine spells them, and says how statistics compare.

Source: https://ducklake.select/docs/stable/specification/data_types
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum

PRIMITIVES = {
    "blob": "BLOB",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "float32": "FLOAT",
    "float64": "DOUBLE",
    "geometry": "GEOMETRY",
    "int8": "TINYINT",
    "int16": "SMALLINT",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "int128": "HUGEINT",
    "interval": "INTERVAL",
    "json": "JSON",
    "time": "TIME",
    "time_ns": "TIME_NS",
    "timestamp": "TIMESTAMP",
    "timestamp_ms": "TIMESTAMP_MS",
    "timestamp_ns": "TIMESTAMP_NS",
    "timestamp_s": "TIMESTAMP_S",
    "timestamp_us": "TIMESTAMP",
    "timestamptz": "TIMESTAMP WITH TIME ZONE",
    "timetz": "TIME WITH TIME ZONE",
    "uint8": "UTINYINT",
    "uint16": "USMALLINT",
    "uint32": "UINTEGER",
    "uint64": "UBIGINT",
    "uint128": "UHUGEINT",
    "uuid": "UUID",
    "varchar": "VARCHAR",
    "variant": "VARIANT",
}
DECIMAL = re.compile(r"decimal\((\d{1,2}),(\d{1,2})\)")
NESTED = frozenset({"list", "map", "struct"})


class Comparison(StrEnum):
    """How a column's text statistics compare safely."""

    BOOLEAN = "boolean"
    FLOAT = "float"
    NONE = "none"
    NUMERIC = "numeric"
    TEXT = "text"
    ISO_DATE = "iso_date"
    ISO_TIME = "iso_time"
    ISO_TIMESTAMP = "iso_timestamp"
    ISO_TIMESTAMPTZ = "iso_timestamptz"


COMPARISONS = {
    "boolean": Comparison.BOOLEAN,
    "date": Comparison.ISO_DATE,
    "float32": Comparison.FLOAT,
    "float64": Comparison.FLOAT,
    "time": Comparison.ISO_TIME,
    "timestamp": Comparison.ISO_TIMESTAMP,
    "timestamp_ms": Comparison.ISO_TIMESTAMP,
    "timestamp_ns": Comparison.ISO_TIMESTAMP,
    "timestamp_s": Comparison.ISO_TIMESTAMP,
    "timestamp_us": Comparison.ISO_TIMESTAMP,
    "timestamptz": Comparison.ISO_TIMESTAMPTZ,
    "uuid": Comparison.TEXT,
    "varchar": Comparison.TEXT,
}


def comparison_of(ducklake_type: str) -> Comparison:
    """Return how statistics of a column of this type may be compared."""
    if DECIMAL.fullmatch(ducklake_type) or re.fullmatch(r"u?int\d+", ducklake_type):
        return Comparison.NUMERIC
    return COMPARISONS.get(ducklake_type, Comparison.NONE)


def duckdb_type(ducklake_type: str, children: Sequence[tuple[str, str]] = ()) -> str:
    """Return the engine's spelling; `children` are (name, engine type) of a nested column.

    Raises `ValueError` on a type that DuckLake 1.0 does not know.
    """
    kind = ducklake_type.lower()
    if kind == "struct":
        fields = ", ".join(f"{quoted(name)} {spelled}" for name, spelled in children)
        return f"STRUCT({fields})"
    if kind == "list":
        return f"{children[0][1]}[]"
    if kind == "map":
        return f"MAP({children[0][1]}, {children[1][1]})"
    if decimal := DECIMAL.fullmatch(kind):
        return f"DECIMAL({decimal[1]},{decimal[2]})"
    if kind not in PRIMITIVES:
        message = f"unknown DuckLake type {ducklake_type!r}"
        raise ValueError(message)
    return PRIMITIVES[kind]


def quoted(name: str) -> str:
    """Return `name` as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
