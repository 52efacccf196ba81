"""Reads the filters that DuckDB pushed into a scan, from the text in which EXPLAIN shows them.

The binder's hidden tables call their columns `c1`, `c2`, …, so the text parses whatever the
real names are. Every top-level conjunct is necessary for a row to matter; one of known shape
becomes a `ColumnFilter`, one of unknown shape prunes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from catalog.domain import ColumnFilter
from execution.gate import parser

COMPARISONS = {
    "COMPARE_EQUAL": "=",
    "COMPARE_LESSTHAN": "<",
    "COMPARE_LESSTHANOREQUALTO": "<=",
    "COMPARE_GREATERTHAN": ">",
    "COMPARE_GREATERTHANOREQUALTO": ">=",
}
TESTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "OPERATOR_IS_NULL": ("is_null", ()),
    "OPERATOR_IS_NOT_NULL": ("is_not_null", ()),
    "OPERATOR_NOT": ("=", ("false",)),
}
BOOLEANS = {"t": "true", "f": "false"}
QUOTED = re.compile(r"('(?:[^']|'')*')")
OPTIONAL = re.compile(r"optional: ")
DYNAMIC = re.compile(r"Dynamic Filter \((?P<column>[^)]*)\)")
HIDDEN = re.compile(r"\bc\d+\b")

Node = dict[str, Any]


@dataclass(frozen=True, slots=True)
class PushedFilters:
    """What a scan filters by, in real column names.

    `columns` are those the filters read; None where some text could not be parsed.
    """

    known: tuple[ColumnFilter, ...] = ()
    unknown: tuple[str, ...] = ()
    columns: frozenset[str] | None = frozenset()


def read(lines: Sequence[str], names: Mapping[str, str]) -> PushedFilters:
    """Read the lines of a scan's `Filters`; `names` maps hidden column names to real ones."""
    texts, dynamic = _split("\n".join(lines))
    columns = {names[column] for column in dynamic if column in names}
    trees = parser.expressions(texts) if texts else []
    if trees is None:
        return PushedFilters(unknown=tuple(_shown(text, names) for text in texts), columns=None)
    known: list[ColumnFilter] = []
    unknown: list[str] = []
    for text, tree in zip(texts, trees, strict=True):
        columns |= {names[hidden] for hidden in _columns(tree) if hidden in names}
        found = [_filters(conjunct, names) for conjunct in _conjuncts(tree)]
        known += [item for items in found for item in items]
        if not all(found):
            unknown.append(_shown(text, names))
    return PushedFilters(tuple(known), tuple(unknown), frozenset(columns))


def _split(text: str) -> tuple[list[str], list[str]]:
    """Return the conjuncts and the columns of dynamic filters; quoted text is left alone."""
    lines: list[str] = [""]
    for position, part in enumerate(QUOTED.split(text)):
        if position % 2:
            lines[-1] += part
            continue
        first, *rest = OPTIONAL.sub("", part).split("\n")
        lines[-1] += first
        lines += rest
    dynamic = [match["column"] for line in lines for match in DYNAMIC.finditer(line)]
    return [line for line in lines if line.strip() and not DYNAMIC.search(line)], dynamic


def _conjuncts(node: Node) -> Iterator[Node]:
    if node["type"] == "CONJUNCTION_AND":
        for child in node["children"]:
            yield from _conjuncts(child)
    else:
        yield node


def _filters(node: Node, names: Mapping[str, str]) -> list[ColumnFilter]:
    """Return what one conjunct is known to demand, nothing where its shape is unknown."""
    kind = node["type"]
    if flag := _column(node, names):
        return [ColumnFilter(flag, "=", ("true",))]
    if kind in COMPARISONS:
        return _comparison(COMPARISONS[kind], node["left"], node["right"], names)
    if kind in TESTS and (tested := _column(node["children"][0], names)):
        return [ColumnFilter(tested, *TESTS[kind])]
    if kind == "COMPARE_IN":
        return _one_of(node["children"][0], node["children"][1:], names)
    if kind == "FUNCTION" and node["function_name"] in {"prefix", "starts_with"}:
        column, start = node["children"]
        return _comparison(">=", column, start, names)
    return _alternatives(node["children"], names) if kind == "CONJUNCTION_OR" else []


def _comparison(
    operator: str, left: Node, right: Node, names: Mapping[str, str]
) -> list[ColumnFilter]:
    column, value = _column(left, names), _constant(right)
    if column is None or value is None:
        return []
    return [ColumnFilter(column, operator, (value,))]


def _alternatives(nodes: Sequence[Node], names: Mapping[str, str]) -> list[ColumnFilter]:
    """Return the filter of `c = 1 OR c = 2 OR …` on one column."""
    if any(node["type"] != "COMPARE_EQUAL" for node in nodes):
        return []
    if len({_column(node["left"], names) for node in nodes}) != 1:
        return []
    return _one_of(nodes[0]["left"], [node["right"] for node in nodes], names)


def _one_of(left: Node, right: Sequence[Node], names: Mapping[str, str]) -> list[ColumnFilter]:
    """Return the filter of an IN list; a NULL in it matches no row and is left out."""
    column = _column(left, names)
    values = [_constant(node) for node in right if not _is_null(node)]
    if column is None or None in values or not values:
        return []
    return [ColumnFilter(column, "in", tuple(v for v in values if v is not None))]


def _column(node: Node, names: Mapping[str, str]) -> str | None:
    """Return the real name of a top-level column; None for anything else, nested fields too."""
    if node["class"] != "COLUMN_REF" or len(node["column_names"]) != 1:
        return None
    return names.get(node["column_names"][0])


def _constant(node: Node) -> str | None:
    """Return a constant as DuckDB's text, None for anything that has to be computed."""
    if node["class"] == "CAST":
        return _cast(node)
    if node["class"] != "CONSTANT" or _is_null(node):
        return None
    kind, value = node["value"]["type"], node["value"]["value"]
    if isinstance(value, dict):  # 128 bits, in two halves
        value = (value["upper"] << 64) + value["lower"]
    if kind["id"] == "DECIMAL":
        return _scaled(value, kind["type_info"]["scale"])
    if isinstance(value, float):
        return repr(value) if isfinite(value) else None
    return str(value) if isinstance(value, int | str) and not isinstance(value, bool) else None


def _cast(node: Node) -> str | None:
    """Return the text of a typed literal such as `'2020-01-01'::DATE`."""
    target = node["cast_type"]["id"]
    if node["child"]["class"] != "CONSTANT" or target in {"BLOB", "INTERVAL"}:
        return None
    text = _constant(node["child"])
    return BOOLEANS.get(str(text)) if target == "BOOLEAN" else text


def _scaled(value: int, scale: int) -> str:
    digits = str(abs(value)).rjust(scale + 1, "0")
    sign = "-" if value < 0 else ""
    return f"{sign}{digits[:-scale]}.{digits[-scale:]}" if scale else f"{sign}{digits}"


def _is_null(node: Node) -> bool:
    return node["class"] == "CONSTANT" and bool(node["value"]["is_null"])


def _columns(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if node.get("class") == "COLUMN_REF":
            yield node["column_names"][0]
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from _columns(child)


def _shown(text: str, names: Mapping[str, str]) -> str:
    """Return a filter's text with real names, for people."""
    parts = QUOTED.split(text)
    parts[::2] = [HIDDEN.sub(lambda m: names.get(m[0], m[0]), part) for part in parts[::2]]
    return "".join(parts)
