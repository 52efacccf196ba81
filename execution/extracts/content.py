"""What of a table an extract holds, and when that is enough for a query: pure rules.

An extract may hold fewer columns than are shown and fewer rows than the policy leaves. It serves a
query where it holds every column that is read, and where each of its filters follows from the
filters of every scan of the table: then no row is missing that could matter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from catalog.domain import ColumnFilter, Table
from catalog.lake.types import Comparison, comparison_of, quoted
from execution.extracts.domain import Content

ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d")
ISO_TIMESTAMP = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?:\+00)?")
NUMBER = re.compile(r"-?[0-9]+([.][0-9]+)?")
BARE = frozenset({Comparison.NUMERIC})
BELOW = frozenset({"<", "<="})
ABOVE = frozenset({">", ">="})
FRACTION_DIGITS = 9

Kinds = Mapping[str, Comparison]


@dataclass(frozen=True, slots=True)
class Needed:
    """What a query reads of a table: columns, and the filters of each of its scans."""

    columns: frozenset[str]
    scans: tuple[frozenset[ColumnFilter], ...]


def covers(held: Content, needed: Needed, kinds: Kinds) -> bool:
    """Tell whether a query that needs `needed` finds all of it in `held`."""
    return needed.columns <= held.columns and all(
        all(follows(own, scan, kinds) for own in held.filters) for scan in needed.scans
    )


def kinds_of(table: Table) -> dict[str, Comparison]:
    """Return how the constants of filters on each top-level column compare."""
    return {c.name: comparison_of(c.ducklake_type) for c in table.top_columns}


def common(scans: Sequence[frozenset[ColumnFilter]], kinds: Kinds) -> frozenset[ColumnFilter]:
    """Return the filters that every row needed by any of `scans` satisfies."""
    wanted = {f for scan in scans for f in scan}
    return frozenset(f for f in wanted if all(follows(f, scan, kinds) for scan in scans))


def follows(wanted: ColumnFilter, given: Iterable[ColumnFilter], kinds: Kinds) -> bool:
    """Tell whether a row that satisfies all of `given` must satisfy `wanted`."""
    kind = kinds.get(wanted.column, Comparison.NONE)
    alike = (one for one in given if one.column == wanted.column)
    return any(one == wanted or _implies(one, wanted, kind) for one in alike)


def _implies(given: ColumnFilter, wanted: ColumnFilter, kind: Comparison) -> bool:
    """Tell whether one filter of a column is at least as strict as another."""
    if wanted.operator == "is_not_null":
        return given.operator != "is_null"
    if wanted.operator == "is_null" or given.operator in {"is_null", "is_not_null"}:
        return False
    asked = [_ordered(value, kind) for value in wanted.values]
    held = [_ordered(value, kind) for value in given.values]
    if None in asked or None in held or not held:
        return False
    if given.operator in {"=", "in"}:
        return all(_satisfies(value, wanted.operator, asked) for value in held)
    for side in (BELOW, ABOVE):
        if given.operator in side and wanted.operator in side:
            touches = given.operator == wanted.operator or given.operator in {"<", ">"}
            return bool(held[0] == asked[0] and touches) or _satisfies(
                held[0], "<" if side is BELOW else ">", asked
            )
    return False


def _satisfies(value: Any, operator: str, constants: Sequence[Any]) -> bool:
    match operator:
        case "=" | "in":
            return value in constants
        case "<":
            return bool(value < constants[0])
        case "<=":
            return bool(value <= constants[0])
        case ">":
            return bool(value > constants[0])
        case _:
            return bool(value >= constants[0])


def _ordered(text: str, kind: Comparison) -> Any:
    """Return a constant as a value that compares as the engine's does; None where unsure."""
    read = READ_AS.get(kind)
    return read(text) if read else None


def _float(text: str) -> float | None:
    return None if _decimal(text) is None else float(text)


def _date(text: str) -> str | None:
    return text if ISO_DATE.fullmatch(text) else None


def _timestamp(text: str) -> str | None:
    """Return a timestamp so that text compares as time does."""
    found = ISO_TIMESTAMP.fullmatch(text)
    return found[1] + (found[2] or "").ljust(FRACTION_DIGITS, "0") if found else None


def _decimal(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


READ_AS: dict[Comparison, Callable[[str], Any]] = {
    Comparison.BOOLEAN: {"false": False, "true": True}.get,
    Comparison.FLOAT: _float,
    Comparison.ISO_DATE: _date,
    Comparison.ISO_TIMESTAMP: _timestamp,
    Comparison.ISO_TIMESTAMPTZ: _timestamp,
    Comparison.NUMERIC: _decimal,
    Comparison.TEXT: str.encode,
}
"""How constants are read so that they compare; those of other kinds are only ever equal."""


def sql_of(filters: Iterable[ColumnFilter], table: Table) -> str:
    """Return the filters as a condition over the table's shown columns; empty for none."""
    types = {c.name: (c.duckdb_type, comparison_of(c.ducklake_type)) for c in table.top_columns}
    ordered = sorted(filters, key=lambda f: (f.column, f.operator, f.values))
    return " AND ".join(_condition(f, *types[f.column]) for f in ordered)


def _condition(item: ColumnFilter, kind: str, comparison: Comparison) -> str:
    name = quoted(item.column)
    if item.operator in {"is_null", "is_not_null"}:
        return f"{name} {item.operator.replace('_', ' ').upper()}"
    values = [_literal(value, kind, comparison) for value in item.values]
    if item.operator == "in":
        return f"{name} IN ({', '.join(values)})"
    return f"{name} {item.operator} {values[0]}"


def _literal(value: str, kind: str, comparison: Comparison) -> str:
    """Return a constant of the column's type; numbers bare, so that nothing rounds them."""
    if comparison in BARE and NUMBER.fullmatch(value):
        return value
    return f"CAST('{value.replace(chr(39), chr(39) * 2)}' AS {kind})"
