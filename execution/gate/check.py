"""Walk a syntax tree by the grammar's positive list, and collect the tables it names."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from execution import moments
from execution.domain import ColumnReference, GatedQuery, TableName, TableReference
from execution.gate import functions, grammar, parser
from execution.gate.refusal import RefusalCode, SqlRefused
from execution.moments import Moment, Placed

MAX_DEPTH = 500
MAX_NODES = 50_000
MAX_RELATIONS = 64
"""Above this the engine's join planner itself can run away."""

CLOCK_WORDS = frozenset(
    {"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"}
)
"""What reads the clock without the parentheses of a function."""

QUALIFIED_PARTS = 3
"""A column's name may begin with a catalog from so many parts on."""

IN_CTES = "Write AT (…) at the tables that it reads."
IN_QUERIES = "Write AT (…) in the query itself, at the tables that it names."

_LOWER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")


def fold(identifier: str) -> str:
    """Return `identifier` as DuckDB compares it: only ASCII letters lose their case."""
    return identifier.translate(_LOWER)


def check(sql: str, *, also: frozenset[str] = frozenset(), time_travel: bool = False) -> GatedQuery:
    """Return what `sql` names, once every node of it is known and listed.

    `also` are functions that a policy may call and a query may not; `time_travel` lets tables have
    AT (…), for who then sees to what it means. Raises `SqlRefused` with a reason code and, where
    the tree has it, line and column.
    """
    parsed = parser.parse(sql)
    walk = _Walk(sql, also, time_travel)
    walk.run(parsed.statement)
    return GatedQuery(
        sql,
        parsed.canonical,
        tuple(walk.tables.values()),
        frozenset(walk.functions),
        digest=parsed.digest,
        is_repeatable=not walk.samples and functions.is_repeatable(walk.functions - also),
        references=tuple(walk.references),
        columns=tuple(walk.columns),
    )


class _Visit(NamedTuple):
    kind: str
    value: Any
    ctes: frozenset[str]
    depth: int


@dataclass(slots=True)
class _Walk:
    """One pass over a tree: a work list instead of recursion, so depth is a number we choose."""

    sql: str
    also: frozenset[str] = frozenset()
    time_travel: bool = False
    tables: dict[tuple[str, str, str, Moment | None], TableName] = field(default_factory=dict)
    references: list[TableReference] = field(default_factory=list)
    columns: list[ColumnReference] = field(default_factory=list)
    functions: set[str] = field(default_factory=set)
    stack: list[_Visit] = field(default_factory=list)
    nodes: int = 0
    relations: int = 0
    samples: bool = False

    def run(self, statement: dict[str, Any]) -> None:
        """Visit `statement` and all below it."""
        self.stack.append(_Visit("statement", statement, frozenset(), 0))
        while self.stack:
            self.nodes += 1
            if self.nodes > MAX_NODES:
                raise too_complex("expressions", MAX_NODES)
            self.visit(self.stack.pop())

    def visit(self, visit: _Visit) -> None:
        """Apply the rule for one value."""
        kind, value, ctes, depth = visit
        if depth > MAX_DEPTH:
            raise parser.too_deep()
        if kind.startswith("["):
            self.many(visit)
        elif kind == "scalar":
            self.scalar(value)
        elif kind == "nothing":
            if value:
                raise self.unknown("an option", value)
        elif value is not None and kind != "anything":
            self.samples |= kind == "sample"
            if kind in grammar.RECORDS:
                self.fields(value, grammar.RECORDS[kind], ctes, depth)
            else:
                getattr(self, f"visit_{kind}")(value, ctes, depth)

    def many(self, visit: _Visit) -> None:
        """Visit each item of a list."""
        if not isinstance(visit.value or [], list):
            raise self.unknown("a list", visit.value)
        inner = visit.kind[1:-1]
        # Reversed, because the work list is a stack: tables come out in the order of the text.
        for item in reversed(visit.value or []):
            self.stack.append(_Visit(inner, item, visit.ctes, visit.depth + 1))

    def fields(
        self, value: Any, rule: grammar.Rule, ctes: frozenset[str], depth: int, *known: str
    ) -> None:
        """Visit each field that `rule` lists; a field it does not list is refused."""
        if not isinstance(value, dict):
            raise self.unknown("a node", value)
        for name in reversed(value):
            if name in known:
                continue
            if name not in rule:
                raise self.unknown(f"field {name!r}", value)
            self.stack.append(_Visit(rule[name], value[name], ctes, depth + 1))

    def scalar(self, value: Any) -> None:
        """Refuse syntax where only words and numbers are expected."""
        items = value if isinstance(value, list) else [value]
        if any(isinstance(item, dict | list) for item in items):
            raise self.unknown("a node", value)

    def visit_parameters(self, value: Any, _ctes: frozenset[str], _depth: int) -> None:
        """Refuse placeholders: nothing would fill them."""
        if value:
            raise SqlRefused(
                RefusalCode.PARAMETER,
                "The query has parameters (? or $name), but values cannot be sent with it.",
                hint="Write the values into the text.",
            )

    def visit_node(self, node: dict[str, Any], ctes: frozenset[str], depth: int) -> None:
        """Visit a query node; its common table expressions are in scope of what follows them."""
        kind = node.get("type")
        if kind not in grammar.NODES:
            raise self.unknown("a query", kind)
        scope = self.ctes(node.get("cte_map") or {}, ctes, depth)
        if kind == "RECURSIVE_CTE_NODE":
            scope |= {self.cte_name(node["cte_name"])}
        self.fields(node, grammar.NODES[kind], scope, depth, "type", "cte_map")

    def ctes(self, cte_map: dict[str, Any], ctes: frozenset[str], depth: int) -> frozenset[str]:
        """Visit the WITH list in order, and return the scope after it."""
        for entry in cte_map.get("map", []):
            value = entry["value"]
            self.fields(entry, {"key": "scalar"}, ctes, depth, "value")
            self.fields(value, grammar.RECORDS["cte"], ctes, depth)
            ctes |= {self.cte_name(entry["key"])}
        return ctes

    def cte_name(self, name: str) -> str:
        """Return the folded name, unless the engine has a view of that name."""
        folded = fold(name)
        if folded in parser.system_names():
            raise SqlRefused(
                RefusalCode.CTE_SYSTEM_NAME,
                f"The common table expression may not be called {name!r}: the engine has a view "
                "of that name.",
                hint="Give it another name.",
            )
        return folded

    def visit_modifier(self, value: dict[str, Any], ctes: frozenset[str], depth: int) -> None:
        """Visit LIMIT, ORDER BY or DISTINCT."""
        kind = value.get("type")
        if kind not in grammar.MODIFIERS:
            raise self.unknown("a modifier", kind)
        self.fields(value, grammar.MODIFIERS[kind], ctes, depth, "type")

    def visit_ref(self, ref: dict[str, Any], ctes: frozenset[str], depth: int) -> None:
        """Visit what stands in FROM."""
        kind = ref.get("type")
        if kind not in grammar.REFS:
            raise self.unknown("a relation", kind, ref)
        if kind == "BASE_TABLE":
            self.table(ref, ctes)
        if kind == "SHOW_REF" and not ref.get("query"):
            raise self.show(ref)
        read = ("type", "at_clause") if kind == "BASE_TABLE" else ("type",)
        self.fields(ref, grammar.REFS[kind], ctes, depth, *read)

    def table(self, ref: dict[str, Any], ctes: frozenset[str]) -> None:
        """Note a table by its spelling, unless the name stands for a common table expression."""
        self.relations += 1
        if self.relations > MAX_RELATIONS:
            raise too_complex("tables", MAX_RELATIONS)
        placed = self.moment(ref)
        at = placed.moment if placed else None
        name = TableName(ref["catalog_name"], ref["schema_name"], ref["table_name"], at)
        key = (fold(name.catalog), fold(name.schema), fold(name.table), at)
        is_cte = key[2] in ctes and not key[0] and key[1] in {"", "recurring"}
        if is_cte and at:
            raise self.no_moment(ref, f"{name.text} is a common table expression.", IN_CTES)
        if not is_cte:
            self.tables.setdefault(key, name)
            moment_at = placed.location if placed else 0
            place = TableReference(name, ref["query_location"], bool(ref["alias"]), moment_at)
            self.references.append(place)

    def moment(self, ref: dict[str, Any]) -> Placed | None:
        """Return the snapshot that AT (…) gives a table; refuse what is no plain constant."""
        if not ref.get("at_clause"):
            return None
        if not self.time_travel:
            raise self.no_moment(ref, "it cannot be used here.", IN_QUERIES)
        placed = moments.read(ref["at_clause"])
        if placed is None:
            raise self.no_moment(ref, "it takes a number or a time, not an expression.")
        return placed

    def no_moment(self, ref: dict[str, Any], why: str, hint: str = moments.HINT) -> SqlRefused:
        """Refuse AT (…) where it stands."""
        refused = SqlRefused(RefusalCode.TIME_TRAVEL, f"AT (…) is for tables: {why}", hint=hint)
        return refused.at(self.sql, ref["query_location"])

    def visit_table_function(self, value: dict[str, Any], ctes: frozenset[str], depth: int) -> None:
        """Visit a function in FROM: only those that read nothing but their arguments."""
        self.relations += 1
        if self.relations > MAX_RELATIONS:
            raise too_complex("tables", MAX_RELATIONS)
        name = str(value.get("function_name"))
        if value.get("class") != "FUNCTION" or fold(name) not in functions.TABLE_FUNCTIONS:
            raise SqlRefused(
                RefusalCode.TABLE_FUNCTION,
                f"The table function {name!r} cannot be used: queries read tables of the catalog.",
                hint="Load files into a table first; `upend tables` lists what there is.",
            ).at(self.sql, value.get("query_location"))
        if value.get("schema") or value.get("catalog"):
            raise self.qualified(value, name)
        rule = grammar.EXPRESSIONS["FUNCTION"]
        self.fields(value, rule, ctes, depth, "class", "type")

    def visit_show_type(self, value: str, _ctes: frozenset[str], _depth: int) -> None:
        """Let DESCRIBE and SUMMARIZE of a checked query through."""
        if value not in {"DESCRIBE", "SUMMARY"}:
            raise self.show({})

    def visit_expression(self, value: dict[str, Any], ctes: frozenset[str], depth: int) -> None:
        """Visit an expression of a known class."""
        kind = value.get("class")
        if kind == "PARAMETER":
            self.visit_parameters([value], ctes, depth)
        if kind not in grammar.EXPRESSIONS:
            raise self.unknown("an expression", kind, value)
        if kind == "OPERATOR" and value["type"] not in grammar.OPERATORS:
            raise self.unknown("an operator", value["type"], value)
        if kind in {"FUNCTION", "WINDOW"}:
            self.function(value)
        if kind == "COLUMN_REF":
            self.column(value)
        self.fields(value, grammar.EXPRESSIONS[kind], ctes, depth, "class", "type")

    def column(self, value: dict[str, Any]) -> None:
        """Note a column that is named with a schema or a catalog, and words that read the clock."""
        parts = tuple(map(str, value["column_names"]))
        # The engine binds these words to functions where no column bears the name.
        self.functions |= {fold(part) for part in parts} & CLOCK_WORDS
        if len(parts) >= QUALIFIED_PARTS:
            self.columns.append(ColumnReference(parts, value["query_location"]))

    def function(self, value: dict[str, Any]) -> None:
        """Refuse a function that is not listed."""
        name = str(value["function_name"])
        folded = fold(name)
        if value.get("catalog") or value.get("schema") not in {"", "main"}:
            raise self.qualified(value, name)
        if folded not in functions.allowed() and folded not in self.also:
            raise self.refused_function(value, name)
        self.functions.add(folded)

    def visit_type(self, value: dict[str, Any], _ctes: frozenset[str], depth: int) -> None:
        """Visit a type: known names, nested to any depth."""
        info = value.get("type_info") or {}
        kind = value.get("id")
        if kind == "UNBOUND":
            known = fold(str(info.get("name"))) in grammar.NAMED_TYPES
            known = known and not (info.get("catalog") or info.get("schema"))
        else:
            known = kind in grammar.SCALAR_TYPES | grammar.NESTED_TYPES
            known = known and not (info.get("alias") or info.get("extension_info"))
        if not known:
            name = info.get("name") or info.get("alias") or kind
            raise SqlRefused(RefusalCode.TYPE, f"The type {name} cannot be used in a query.")
        inner = [info["child_type"]] if info.get("child_type") else []
        inner += [child["second"] for child in info.get("child_types", [])]
        for child in inner:
            self.stack.append(_Visit("type", child, frozenset(), depth + 1))

    def refused_function(self, value: dict[str, Any], name: str) -> SqlRefused:
        """Say whether the function is refused or unknown, and what may have been meant."""
        folded, hint = fold(name), ""
        if functions.is_refused(folded):
            detail = f"The function {name!r} cannot be used in a query."
        else:
            detail = f"There is no function {name!r}, or it cannot be used in a query."
            if close := functions.suggestions(folded):
                hint = f"Did you mean {' or '.join(close)}?"
        refused = SqlRefused(RefusalCode.FUNCTION, detail, hint=hint)
        return refused.at(self.sql, value.get("query_location"))

    def qualified(self, value: dict[str, Any], name: str) -> SqlRefused:
        """Refuse a function that is looked up in a named schema."""
        return SqlRefused(
            RefusalCode.QUALIFIED_FUNCTION,
            f"The function {name!r} cannot be qualified with a schema or catalog.",
            hint=f"Write {name}(…).",
        ).at(self.sql, value.get("query_location"))

    def show(self, ref: dict[str, Any]) -> SqlRefused:
        """Refuse SHOW: the catalog is browsed elsewhere, with permissions."""
        return SqlRefused(
            RefusalCode.SHOW,
            "SHOW cannot be used; only DESCRIBE and SUMMARIZE of a table or query can.",
            hint="Browse the catalog, or use `upend tables`.",
        ).at(self.sql, ref.get("query_location"))

    def unknown(self, what: str, value: Any, ref: dict[str, Any] | None = None) -> SqlRefused:
        """Refuse syntax that the grammar does not list."""
        shown = value if isinstance(value, str) else type(value).__name__
        return SqlRefused(
            RefusalCode.SYNTAX, f"The query uses syntax that is not supported: {what} ({shown})."
        ).at(self.sql, (ref or {}).get("query_location"))


def too_complex(what: str, limit: int) -> SqlRefused:
    """Return the refusal of a query with too many parts."""
    return SqlRefused(
        RefusalCode.TOO_COMPLEX,
        f"The query has more than {limit:,} {what}.",
        hint="Split it into several queries.",
    )
