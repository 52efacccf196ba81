"""Checks the SQL of masks and row filters: the gate's list, then the engine's own binder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from catalog.lake.types import quoted
from execution import bind, gate
from execution.gate import functions, names, parser
from execution.gate.check import fold
from execution.gate.refusal import NO_LOCATION, position
from governance.domain import SecurableColumn
from governance.expressions import PRINCIPAL, Fault, Inspected, Reference
from governance.masks import HMAC

BEFORE, AFTER = "SELECT (\n", "\n)"
"""An expression stands alone on its lines, so that a comment ends with it."""

INTERNAL_TABLES = "t"
"""Hidden tables are called t1, t2, … in plans: a struct of that name would be taken for one."""

ROW_MAKERS = frozenset({"generate_subscripts", "regexp_split_to_table", "unlist", "unnest"})
REFUSED = {
    "POSITIONAL_REFERENCE": "a column by its number",
    "STAR": "a star",
    "SUBQUERY": "a subquery",
    "WINDOW": "a window function",
}

Node = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class EngineExpressions:
    """What execution registers with governance; see `governance.expressions.Expressions`."""

    def inspect(self, sql: str) -> Inspected:
        """Return what `sql` names, without looking at any table."""
        try:
            node = _parsed(sql)
        except gate.SqlRefused as refused:
            return Inspected(faults=(_gate_fault(refused),))
        walk = _Walk(sql)
        walk.visit(node, frozenset())
        return Inspected(
            tuple(sorted(walk.columns, key=_start)),
            tuple(sorted(walk.attributes, key=_start)),
            tuple(walk.faults),
        )

    def fit(
        self, sql: str, kind: str, columns: Sequence[SecurableColumn], *, asker: str = ""
    ) -> tuple[Fault, ...]:
        """Return why `sql` over the table of `columns` is not of DuckDB's type `kind`."""
        inspected = self.inspect(sql)
        found = inspected.faults or tuple(_unknown(sql, inspected.columns, columns))
        return found or _unbound(sql, inspected, kind, columns, asker)


def _parsed(sql: str) -> Node:
    """Return the tree of the one expression in `sql`. Raises `SqlRefused`."""
    # On its own too: `a) OR (b` is an expression only inside parentheses that it would break.
    _items(f"SELECT\n{sql}\n")
    wrapped = f"{BEFORE}{sql}{AFTER}"
    checked = gate.check(wrapped, also=frozenset({HMAC}))
    items = _items(wrapped)
    changing = [name for name in checked.functions - {HMAC} if not functions.is_repeatable([name])]
    if changing:
        raise gate.SqlRefused(
            gate.RefusalCode.FUNCTION,
            f"It may show something else every time, because of {', '.join(sorted(changing))}.",
            hint="Policies show the same of the same row: compare with columns or constants.",
        )
    return items[0]


def _items(sql: str) -> list[Node]:
    """Return what a SELECT without FROM selects. Raises `SqlRefused` where it is more than that."""
    node = parser.parse(sql).statement["node"]
    items: list[Node] = node.get("select_list", [])
    plain = node["type"] == "SELECT_NODE" and node["from_table"]["type"] == "EMPTY"
    others = ("modifiers", "where_clause", "group_expressions", "having", "sample", "qualify")
    if (
        not plain
        or len(items) != 1
        or any(node.get(name) for name in others)
        or items[0].get("alias")
    ):
        raise gate.SqlRefused(
            gate.RefusalCode.SYNTAX,
            "It is more than one expression.",
            hint="Write only what would stand in a select list: no FROM, no WHERE, no AS.",
        )
    return items


@dataclass(slots=True)
class _Walk:
    """Collects the names in one checked expression; the gate has bounded its depth."""

    sql: str
    columns: list[Reference] = field(default_factory=list)
    attributes: list[Reference] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def visit(self, node: Node, parameters: frozenset[str]) -> None:
        """Visit a node; `parameters` are those of the lambdas around it."""
        kind = node.get("class")
        if kind in REFUSED:
            self.fault(node, f"A policy's SQL cannot have {REFUSED[str(kind)]}.")
        elif kind == "COLUMN_REF":
            self.name(node, parameters)
        elif kind == "FUNCTION" and fold(node["function_name"]) in ROW_MAKERS:
            self.fault(node, f"{node['function_name']} makes several rows of one.")
        elif kind == "OPERATOR" and node["type"] in {"GROUPING_FUNCTION", "OPERATOR_UNPACK"}:
            self.fault(node, "That is no expression over one row.")
        elif kind == "LAMBDA" and _is_lambda(node):
            inner = {fold(name) for name in _parameters(node["lhs"])}
            self.visit(node["expr"], parameters | inner)
        else:
            self.test_membership(node)
            for child in _children(node):
                self.visit(child, parameters)

    def name(self, node: Node, parameters: frozenset[str]) -> None:
        """Note a column or an attribute, unless the name is a lambda's parameter."""
        path = tuple(map(str, node["column_names"]))
        if fold(path[0]) in parameters:
            return
        try:
            reference = Reference(path, names.spans(self.sql, self.offset(node), path))
        except names.NameNotFound:
            self.fault(node, f"It is not clear where {'.'.join(path)} stands in the text.")
            return
        if fold(path[0]) != PRINCIPAL or len(path) == 1:
            self.columns.append(reference)
        elif len(path) > 2:  # noqa: PLR2004 - `principal` and the name
            self.fault(node, "An attribute is one name after principal.")
        else:
            self.attributes.append(Reference(path[1:], reference.spans))

    def test_membership(self, node: Node) -> None:
        """Refuse `x IN principal.y`: of one text, the engine would look for a part of it."""
        if node.get("class") != "FUNCTION" or node["function_name"] != "contains":
            return
        first = node["children"][0]
        written = self.sql[self.offset(node) :][:2].lower()
        is_attribute = first.get("class") == "COLUMN_REF" and len(first["column_names"]) > 1
        if written == "in" and is_attribute and fold(first["column_names"][0]) == PRINCIPAL:
            shown = ".".join(first["column_names"])
            self.fault(node, f"{shown} is one text.", f"Write IN ({shown}), or =.")

    def fault(self, node: Node, message: str, hint: str = "") -> None:
        """Note a fault at the place of a node."""
        place = position(self.sql, self.byte_offset(node))
        self.faults.append(Fault(message, hint, place["line"], place["column"]))

    def offset(self, node: Node) -> int:
        """Return the character of the author's text where a node stands."""
        return len(self.sql.encode()[: self.byte_offset(node)].decode(errors="ignore"))

    def byte_offset(self, node: Node) -> int:
        """Return the byte of the author's text where a node stands; 0 where nobody knows."""
        location = node.get("query_location", NO_LOCATION)
        return 0 if location == NO_LOCATION else max(0, location - len(BEFORE))


def _is_lambda(node: Node) -> bool:
    """Tell a lambda from the arrow of JSON: the parameters of the first have no place."""
    left = node["lhs"]
    return bool(left.get("query_location", NO_LOCATION) == NO_LOCATION)


def _parameters(left: Node) -> Iterator[str]:
    if left.get("class") == "COLUMN_REF":
        yield from left["column_names"]
    for child in left.get("children", []):
        yield from _parameters(child)


def _children(node: Node) -> Iterator[Node]:
    """Return the nodes right below, wherever the tree keeps them."""
    for value in node.values():
        found = value if isinstance(value, list) else [value]
        for item in found:
            if isinstance(item, dict):
                if "class" in item:
                    yield item
                else:
                    yield from _children(item)


def _start(reference: Reference) -> int:
    return reference.start


def _gate_fault(refused: gate.SqlRefused) -> Fault:
    """Return a refusal at its place in the author's text, which begins on the second line."""
    line = max(1, refused.extra.get("line", 2) - 1)
    return Fault(refused.detail, refused.hint, line, refused.extra.get("column", 1))


def _unknown(
    sql: str, references: Sequence[Reference], columns: Sequence[SecurableColumn]
) -> Iterator[Fault]:
    """Find names that are no columns of the table."""
    known = {fold(column.path[0]) for column in columns}
    for reference in references:
        first = fold(reference.path[0])
        place = position(sql, len(sql[: reference.start].encode()))
        if first not in known:
            shown = ".".join(reference.path)
            hint = f"Its columns are {', '.join(sorted(known))[:300]}."
            yield Fault(f"The table has no column {shown}.", hint, **place)
        elif len(reference.path) > 1 and first[:1] == INTERNAL_TABLES and first[1:].isdigit():
            hint = f"Write struct_extract({reference.path[0]}, '{reference.path[1]}')."
            yield Fault(f"{reference.path[0]} may be taken for a table.", hint, **place)


def _unbound(
    sql: str,
    inspected: Inspected,
    kind: str,
    columns: Sequence[SecurableColumn],
    asker: str,
) -> tuple[Fault, ...]:
    """Ask the binder, in its sandbox, for the type over a table of those columns without rows."""
    tops = [column for column in columns if len(column.path) == 1]
    table = ", ".join(f"CAST(NULL AS {c.type}) AS {quoted(c.path[0])}" for c in tops)
    # Beside the columns an aggregate does not bind; attributes are of no type yet.
    asked = f"{_without_attributes(sql, inspected.attributes)}{AFTER} AS shown"
    text = f"{BEFORE}{asked}, CAST(NULL AS {kind}) AS wanted, * FROM (SELECT {table}) AS of_table"
    try:
        bound = bind.bind(text, [], [], principal=asker)
    except (bind.BindError, bind.PlanningFailed) as refused:
        line = refused.extra.get("line", 2) - 1
        is_inside = 1 <= line <= sql.count("\n") + 1
        column = refused.extra.get("column", 1) if is_inside else 1
        return (Fault(refused.detail, refused.hint, line if is_inside else 1, column),)
    (_, shown), (_, wanted), *_others = bound.columns
    if shown == wanted:
        return ()
    return (Fault(f"It gives {shown}, but {wanted} is needed.", f"Write CAST(… AS {wanted})."),)


def _without_attributes(sql: str, attributes: Sequence[Reference]) -> str:
    """Return `sql` with NULL for each attribute: it takes whatever type is asked of it."""
    for attribute in sorted(attributes, key=_start, reverse=True):
        blank = "(NULL)".ljust(attribute.end - attribute.start)  # so that places stay the same
        sql = f"{sql[: attribute.start]}{blank}{sql[attribute.end :]}"
    return sql
