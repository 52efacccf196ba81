"""Types that a person may choose for the columns of a file: named, never SQL of theirs."""

from __future__ import annotations

import re

from problems import Invalid

PLAIN = frozenset(
    {
        "BIGINT",
        "BLOB",
        "BOOLEAN",
        "DATE",
        "DOUBLE",
        "FLOAT",
        "HUGEINT",
        "INTEGER",
        "SMALLINT",
        "TIME",
        "TIMESTAMP",
        "TIMESTAMP WITH TIME ZONE",
        "TINYINT",
        "UBIGINT",
        "UINTEGER",
        "USMALLINT",
        "UTINYINT",
        "UUID",
        "VARCHAR",
    }
)
DECIMAL = re.compile(r"DECIMAL\((\d{1,2}),\s?(\d{1,2})\)")
MAX_DIGITS = 38
MAX_COLUMNS = 10_000


def check_types(types: dict[str, str]) -> dict[str, str]:
    """Return types by column, spelled as the engine does. Raises `Invalid` for any other."""
    if len(types) > MAX_COLUMNS:
        raise Invalid("These are more columns than a table can have.")
    return {column: _checked(column, kind) for column, kind in types.items()}


def _checked(column: str, kind: str) -> str:
    spelled = " ".join(kind.upper().split())
    if spelled in PLAIN:
        return spelled
    found = DECIMAL.fullmatch(spelled)
    if found and 0 < int(found[1]) <= MAX_DIGITS and int(found[2]) <= int(found[1]):
        return f"DECIMAL({int(found[1])},{int(found[2])})"
    raise Invalid(
        f"{column}: {kind!r} is not a type that can be chosen.",
        hint=f"Choose DECIMAL(p,s) or one of {', '.join(sorted(PLAIN))}.",
    )
