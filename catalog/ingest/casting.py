"""How a cell becomes a value of its column: the engine's casts, minus those that lose something."""

from __future__ import annotations

import re

import pyarrow as pa

INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
UNSIGNED = ("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")
BYTES = (1, 2, 4, 8, 16)
EXACT: dict[str, tuple[pa.DataType, ...]] = {
    "BIGINT": (pa.int64(),),
    "BLOB": (pa.binary(), pa.large_binary()),
    "BOOLEAN": (pa.bool_(),),
    "DATE": (pa.date32(),),
    "DOUBLE": (pa.float64(),),
    "FLOAT": (pa.float32(),),
    "INTEGER": (pa.int32(),),
    "SMALLINT": (pa.int16(),),
    "TIMESTAMP": (pa.timestamp("us"),),
    "TIMESTAMP WITH TIME ZONE": (pa.timestamp("us", "UTC"),),
    "TINYINT": (pa.int8(),),
    "UBIGINT": (pa.uint64(),),
    "UINTEGER": (pa.uint32(),),
    "USMALLINT": (pa.uint16(),),
    "UTINYINT": (pa.uint8(),),
    "VARCHAR": (pa.string(), pa.large_string()),
}
LIMITS: dict[str, tuple[int, int]] = {
    **{
        name: (-(2 ** (8 * n - 1)), 2 ** (8 * n - 1) - 1)
        for name, n in zip(INTEGERS, BYTES, strict=True)
    },
    **{name: (0, 2 ** (8 * n) - 1) for name, n in zip(UNSIGNED, BYTES, strict=False)},
}
"""The least and the greatest integer of a type."""
SURELY_DOUBLE = 1e300
DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)")
ADDED: tuple[tuple[str, frozenset[str]], ...] = (
    ("BOOLEAN", frozenset({"boolean"})),
    ("BIGINT", frozenset({"integer"})),
    ("DOUBLE", frozenset({"integer", "number"})),
    ("VARCHAR", frozenset({"boolean", "integer", "number", "text"})),
)
"""The type of a column that JSON brings, by the kinds of its values; the first that holds them."""


def is_exact(given: pa.DataType, wanted: str) -> bool:
    """Tell whether every value of an Arrow type is one of the column's as it is."""
    if found := DECIMAL.fullmatch(wanted):
        return bool(given == pa.decimal128(int(found[1]), int(found[2])))
    return given in EXACT.get(wanted, ())


def is_text(given: pa.DataType) -> bool:
    """Tell whether cells are text."""
    return bool(pa.types.is_string(given) or pa.types.is_large_string(given))


def holds(wanted: str, least: float, greatest: float, *, are_integers: bool) -> bool:
    """Tell whether a type surely has a value for each number, as JSON spells it, between two.

    The engine need not be asked then. Where this is not sure, the engine's cast decides.
    """
    if wanted == "DOUBLE":
        return least >= -SURELY_DOUBLE and greatest <= SURELY_DOUBLE
    if not are_integers or wanted not in LIMITS:
        return False
    lowest, highest = LIMITS[wanted]
    return lowest <= least and greatest <= highest


def cast(column: str, given: pa.DataType, wanted: str) -> str:
    """Return the expression that is the value, null where the cell has none of that type.

    `column` is quoted. A number with a fraction is not an integer, although the engine's own
    cast would round it; a nested value fits whole or not at all.
    """
    if is_exact(given, wanted):
        return column
    if is_text(given) and is_nested(wanted):
        return f"TRY(CAST(TRY_CAST({column} AS JSON) AS {wanted}))"
    if is_nested(wanted):
        return f"TRY(CAST({column} AS {wanted}))"
    plainly = f"TRY_CAST({column} AS {wanted})"
    if wanted in INTEGERS + UNSIGNED and not pa.types.is_integer(given):
        number = f"TRY_CAST({column} AS DOUBLE)"
        return f"CASE WHEN {number} = trunc({number}) THEN {plainly} END"
    return plainly


def is_nested(wanted: str) -> bool:
    """Tell whether a column's values have parts."""
    return wanted.endswith("]") or wanted.startswith(("STRUCT(", "MAP("))


def wider(wanted: str) -> tuple[str, ...]:
    """Return the types that a column of this type may be widened to, nearest first.

    Source: https://ducklake.select/docs/stable/duckdb/usage/schema_evolution
    """
    if wanted == "FLOAT":
        return ("DOUBLE",)
    for family in (INTEGERS[:4], UNSIGNED):
        if wanted in family:
            return family[family.index(wanted) + 1 :]
    return ()


def added_type(kinds: frozenset[str]) -> str:
    """Return the type of a new column of JSON values of these kinds."""
    for name, holds in ADDED:
        if kinds and kinds <= holds:
            return name
    return "JSON" if kinds else "VARCHAR"
