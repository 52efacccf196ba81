"""Turns pushed-down filters into SQL over file statistics that is false only where no row matches.

Every test is NULL or true where a statistic is missing, of another form or not understood.
Source: https://ducklake.select/docs/stable/specification/tables/ducklake_file_column_stats
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, LiteralString

from psycopg import sql

from catalog.domain import Column, ColumnFilter
from catalog.lake.constants import Bound, bounds_of
from catalog.lake.metadata import relation
from catalog.lake.types import Comparison, comparison_of
from catalog.models import Catalog

READABLE = {
    Comparison.BOOLEAN: sql.SQL("{0} IN ('0', '1', 'true', 'false')"),
    Comparison.FLOAT: sql.SQL(r"{0} ~ '^-?[0-9]+([.][0-9]+)?(e[+-]?[0-9]{{1,2}})?$'"),
    Comparison.NUMERIC: sql.SQL(r"{0} ~ '^-?[0-9]+([.][0-9]+)?$'"),
    Comparison.TEXT: sql.SQL("true"),
    Comparison.ISO_DATE: sql.SQL("length({0}) = 10"),
    Comparison.ISO_TIME: sql.SQL("length({0}) BETWEEN 8 AND 18"),
    Comparison.ISO_TIMESTAMP: sql.SQL(
        "length({0}) BETWEEN 19 AND 29 AND substr({0}, 5, 1) = '-' AND right({0}, 1) <> ')'"
    ),
    Comparison.ISO_TIMESTAMPTZ: sql.SQL(
        "length({0}) BETWEEN 22 AND 32 AND substr({0}, 5, 1) = '-' AND right({0}, 3) = '+00'"
    ),
}
"""When a statistic's text is of the form that compares: years of four digits, no BC, no inf."""

COMPARABLE = {
    Comparison.BOOLEAN: sql.SQL("(CASE WHEN {0} IN ('1', 'true') THEN 1 ELSE 0 END)"),
    Comparison.FLOAT: sql.SQL("{0}::double precision"),
    Comparison.NUMERIC: sql.SQL("{0}::numeric"),
    Comparison.ISO_TIMESTAMPTZ: sql.SQL('(left({0}, -3) COLLATE "C")'),
}
AS_TEXT = sql.SQL('({0} COLLATE "C")')


@dataclass
class Conditions:
    """The conditions of a query over data files `f`, in the making, with their parameters."""

    joins: dict[int, sql.Composable] = field(default_factory=dict)
    tests: list[sql.Composable] = field(default_factory=list)
    parameters: dict[str, Any] = field(default_factory=dict)

    def bound(self, value: Bound) -> sql.Composable:
        """Add a parameter and return its placeholder."""
        name = f"p{len(self.parameters)}"
        self.parameters[name] = value
        return sql.Placeholder(name)


def add_filter(
    catalog: Catalog, conditions: Conditions, column: Column, item: ColumnFilter
) -> None:
    """Add the test of one filter, where its shape and constants are understood."""
    alias = f"s{column.column_id:d}"
    test: sql.Composable
    match item.operator:
        case "is_null":
            test = sql.SQL(
                "({0}.null_count IS NULL OR {0}.null_count > 0 OR {0}.value_count = 0)"
            ).format(sql.Identifier(alias))
        case "is_not_null":
            test = sql.SQL("NOT {0}").format(_all_null(alias))
        case _:
            compared = _compared(conditions, alias, column, item)
            if compared is None:
                return
            test = sql.SQL("NOT {0} AND {1}").format(_all_null(alias), compared)
    conditions.tests.append(sql.SQL("({0}) IS NOT FALSE").format(test))
    conditions.joins[column.column_id] = sql.SQL(
        "LEFT JOIN {0} {1} ON {1}.table_id = f.table_id AND {1}.column_id = {2}"
        " AND {1}.data_file_id = f.data_file_id"
    ).format(
        relation(catalog.metadata_schema, "ducklake_file_column_stats"),
        sql.Identifier(alias),
        sql.Literal(column.column_id),
    )


def _all_null(alias: str) -> sql.Composed:
    """Return the test that a file holds nothing but NULL; unknown where nothing was counted."""
    text = sql.SQL(
        "({0}.value_count = 0 AND {0}.null_count >= f.record_count AND f.record_count > 0)"
    )
    return text.format(sql.Identifier(alias))


def _compared(
    conditions: Conditions, alias: str, column: Column, item: ColumnFilter
) -> sql.Composable | None:
    """Return the comparison of statistics with the constants, None where it proves nothing."""
    comparison = comparison_of(column.ducklake_type)
    bounds = [bounds_of(value, comparison) for value in item.values]
    if not bounds or item.operator not in {"=", "<", "<=", ">", ">=", "in"}:
        return None
    tests = []
    for bound in bounds:
        if bound is None:
            return None
        tests.append(_one(conditions, alias, comparison, item.operator, bound))
    return sql.SQL("({0})").format(sql.SQL(" OR ").join(tests))


def _one(
    conditions: Conditions,
    alias: str,
    comparison: Comparison,
    operator: str,
    bound: tuple[Bound, Bound],
) -> sql.Composable:
    """Return one comparison: the file's range against one constant.

    A NaN is greater than everything and not in the statistics, so a file that has or may have
    one has no maximum.
    """
    low, high = bound
    above = _side(
        alias,
        "max_value",
        comparison,
        ">" if operator == ">" else ">=",
        conditions.bound(low),
        exact=low == high,
    )
    if comparison is Comparison.FLOAT:
        above = sql.SQL("({0}.contains_nan IS NOT FALSE OR {1})").format(
            sql.Identifier(alias), above
        )
    below = _side(
        alias,
        "min_value",
        comparison,
        "<" if operator == "<" else "<=",
        conditions.bound(high),
        exact=low == high,
    )
    if operator in {">", ">="}:
        return above
    if operator in {"<", "<="}:
        return below
    return sql.SQL("({0} AND {1})").format(above, below)


def _side(
    alias: str,
    statistic: str,
    comparison: Comparison,
    operator: LiteralString,
    value: sql.Composable,
    *,
    exact: bool,
) -> sql.Composable:
    """Return one guarded comparison of a statistic's text; true where it cannot be read."""
    text = sql.Identifier(alias, statistic)
    guard = READABLE[comparison].format(text)
    spelled = COMPARABLE.get(comparison, AS_TEXT).format(text)
    if not exact:
        operator = operator if "=" in operator else f"{operator}="
    return sql.SQL("(CASE WHEN {0} THEN {1} {2} {3} END) IS NOT FALSE").format(
        guard, spelled, sql.SQL(operator), value
    )
