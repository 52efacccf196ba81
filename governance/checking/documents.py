"""Masks and row filters: their columns found, their SQL inspected, their fit with tables tried."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from typing import Any

from governance import documents, expressions, fitting, summaries, tags
from governance.checking import conflicts
from governance.checking.outcome import Asked, Checked
from governance.documents import Exempt, MaskDocument, RowFilterDocument
from governance.domain import MaskMethod, Securable, SecurableColumn
from governance.expressions import Inspected, Reference
from governance.findings import Finding
from governance.fitting import Mask, MaskProblem
from governance.naming import Named
from governance.rules import MaskRule, NamedColumn, exemption_key
from governance.text import Mention
from governance.yaml_nodes import Node, Scalar, at, characters, mention

MAX_TRIED = 40
"""How many different shapes of columns the SQL of a wide policy is tried on."""
MAX_LISTED = 5

Column = tuple[Securable, SecurableColumn]


@dataclass(frozen=True, slots=True)
class Sql:
    """The SQL of a document: where its characters stand in the text, and what it names."""

    node: Scalar
    places: list[int]
    inspected: Inspected

    @property
    def text(self) -> str:
        """Return the SQL."""
        return str(self.node.value)


def check_mask(asked: Asked) -> Checked:
    """Return what a mask comes to: columns by key and name, and the method."""
    document, findings = documents.read_mask(asked.text)
    asked.note(findings)
    if document is None:
        return asked.checked(None)
    keys = asked.resolve([*_mentions(document.exempt), *(mention("tag", t) for t in document.tags)])
    found = {str(node.value): _named(asked, node) for node in document.columns}
    sql = _sql(asked, document.nodes["sql"]) if "sql" in document.nodes else None
    _try_mask(asked, document, found, sql)
    compiled = {
        "columns": [
            {"name": name, "keys": [column.key for _, column in columns]}
            for name, columns in found.items()
        ],
        "tags": [str(node.value) for node in document.tags],
        "mask": _compiled_mask(asked, document.mask, sql),
        "except": _compiled_exempt(document.exempt, keys),
    }
    if not any(finding.is_error for finding in asked.findings):
        conflicts.of_mask(asked, _rule(compiled, document), document.nodes["columns"])
    return asked.checked(compiled, summaries.mask(document, asked.scope.label))


def check_row_filter(asked: Asked) -> Checked:
    """Return what a row filter comes to: its predicate with gaps for columns and attributes."""
    document, findings = documents.read_row_filter(asked.text)
    asked.note(findings)
    if document is None:
        return asked.checked(None)
    keys = asked.resolve(list(_mentions(document.exempt)))
    sql = _sql(asked, document.where)
    if sql is None or sql.inspected.faults:
        return asked.checked(None, summaries.row_filter(document, asked.scope.label))
    _try_row_filter(asked, document, sql)
    template = _template(asked, sql)
    compiled = {"template": template, "except": _compiled_exempt(document.exempt, keys)}
    if not any(finding.is_error for finding in asked.findings):
        conflicts.of_row_filter(asked, template, document.where)
    return asked.checked(compiled, summaries.row_filter(document, asked.scope.label))


def _mentions(exempt: Iterable[Exempt]) -> Iterable[Mention]:
    return (one.mention for one in exempt if one.mention is not None)


def _compiled_exempt(exempt: Sequence[Exempt], keys: Mapping[Named, str]) -> list[dict[str, str]]:
    """Return whom the policy does not hold for, by id, role or attribute."""
    found = []
    for one in exempt:
        key = one.name if one.mention is None else keys.get((one.kind, one.name), "")
        found.append({"kind": one.kind, "key": exemption_key(one.kind, key)})
    return found


def _named(asked: Asked, node: Scalar) -> list[Column]:
    """Return the columns of a name in the scope; none at all is a finding."""
    wanted = str(node.value).lower()
    found = [(t, c) for t in asked.tables for c in t.columns if c.name.lower() == wanted]
    if not found:
        known = {column.name for table in asked.tables for column in table.columns}
        near = get_close_matches(str(node.value), sorted(known), n=1)
        asked.note(
            [
                at(
                    node,
                    f"There is no column {node.value!r} in {asked.scope.label}.",
                    f"Did you mean {near[0]}?" if near else "",
                )
            ]
        )
    keys = [column.key for _, column in found]
    one = keys[0] if asked.is_about_one_table and keys else ""
    asked.references.append(mention("column", node).reference(one, keys))
    return found


def _sql(asked: Asked, node: Node) -> Sql | None:
    """Return the inspected SQL of a value; what is wrong with it is a finding at its place."""
    if not isinstance(node, Scalar):
        return None
    places = characters(asked.text, node)
    if places is None:
        hint = "Write it on lines of its own, after a | and further to the right."
        asked.note([at(node, "This SQL has escapes of YAML that cannot be followed.", hint)])
        return None
    sql = Sql(node, places, expressions.checker().inspect(str(node.value)))
    for fault in sql.inspected.faults:
        asked.find(_place(sql, fault.line, fault.column), fault.message, fault.hint)
    return sql


def _place(sql: Sql, line: int, column: int) -> int:
    """Return the character of the text at a line and column of its SQL."""
    lines = sql.text.split("\n")
    offset = sum(len(one) + 1 for one in lines[: line - 1]) + column - 1
    places = sql.places or [sql.node.start_mark.index]
    return places[min(max(offset, 0), len(places) - 1)]


def _columns_in(sql: Sql, table: Securable) -> Iterable[tuple[Reference, SecurableColumn | None]]:
    """Return what each name in the SQL is in a table: the deepest column that it leads to."""
    by_path = {tuple(p.lower() for p in column.path): column for column in table.columns}
    for reference in sql.inspected.columns:
        path = tuple(part.lower() for part in reference.path)
        depths = range(len(path), 0, -1)
        yield reference, next((by_path[path[:d]] for d in depths if path[:d] in by_path), None)


def _template(asked: Asked, sql: Sql) -> list[Any]:
    """Return the SQL with gaps for columns and attributes; columns are references too."""
    found: dict[tuple[int, int], dict[str, Any]] = {}
    for table in asked.tables:
        for reference, column in _columns_in(sql, table):
            if column is None:
                continue
            span = (reference.start, reference.spans[len(column.path) - 1][1])
            kept = found.setdefault(span, {"name": column.name, "keys": []})
            kept["keys"].append(column.key)
    form = f"sql{sql.node.style if sql.node.style in {chr(34), chr(39)} else ''}"
    for (start, end), kept in found.items():
        begin, finish = sql.places[start], sql.places[end - 1] + 1
        named = Mention("column", kept["name"], begin, finish, form)
        one = kept["keys"][0] if asked.is_about_one_table else ""
        asked.references.append(named.reference(one, kept["keys"]))
    gaps: list[tuple[int, int, dict[str, Any]]] = [
        *((start, end, {"column": kept}) for (start, end), kept in found.items()),
        *((a.start, a.end, {"principal": a.path[0]}) for a in sql.inspected.attributes),
    ]
    template: list[Any] = []
    position = 0
    for start, end, gap in sorted(gaps, key=lambda gap: gap[0]):
        template += [sql.text[position:start], gap]
        position = end
    return [part for part in (*template, sql.text[position:]) if part]


def _compiled_mask(asked: Asked, mask: Mask, sql: Sql | None) -> dict[str, Any]:
    """Return the method with its parameters; an expression as a template."""
    kept = {name: value for name, value in asdict(mask).items() if value is not None}
    if mask.method is MaskMethod.EXPRESSION and sql is not None and not sql.inspected.faults:
        kept.pop("sql")
        kept["template"] = _template(asked, sql)
        for attribute in sql.inspected.attributes:
            asked.find(
                sql.places[attribute.start],
                "A mask shows the same to all whom it holds for: it cannot look at the principal.",
                "Use except, or a row filter.",
            )
    return kept | {"method": mask.method.value}


def _rule(compiled: dict[str, Any], document: MaskDocument) -> MaskRule:
    """Return what the document is about, as other masks are compared with it."""
    return MaskRule(
        conflicts.OWN,
        document.mask,
        columns=tuple(NamedColumn(c["name"], frozenset(c["keys"])) for c in compiled["columns"]),
        tags=frozenset(compiled["tags"]),
    )


def _try_mask(
    asked: Asked, document: MaskDocument, named: dict[str, list[Column]], sql: Sql | None
) -> None:
    """Try the mask on every column that it names; what it does not fit is a finding."""
    columns = [found for of_name in named.values() for found in of_name]
    problems = {
        problem: column.name
        for table, column in columns
        for problem in fitting.problems(document.mask, column, table.columns)
    }
    asked.note(_at_parameter(document, problem) for problem in problems)
    for table, column in _tagged(asked, document):
        for problem in fitting.problems(document.mask, column, table.columns):
            hint = "It shows nothing there. Use a method that fits, or name the columns."
            line, place, *_ = _position(document, problem)
            message = f"In {table.label}: {problem.message}"
            asked.note([Finding(line, place, message, hint, "warning")])
    if sql is not None and not sql.inspected.faults and not problems:
        _fit(asked, sql, [(t, c.type) for t, c in columns], is_error=True)


def _tagged(asked: Asked, document: MaskDocument) -> Iterable[Column]:
    """Return the columns that bear one of the document's tags now."""
    wanted = {str(node.value) for node in document.tags}
    if not wanted:
        return
    found = tags.column_tags_of(asked.tables)
    for table in asked.tables:
        above: set[tuple[str, ...]] = set()
        for column in table.columns:
            if wanted & found[column.key] and column.path[:-1] not in above:
                yield table, column
            if wanted & found[column.key]:
                above.add(column.path)


def _position(document: MaskDocument, problem: MaskProblem) -> tuple[int, int]:
    node = document.nodes.get(problem.parameter, document.nodes["method"])
    return node.start_mark.line + 1, node.start_mark.column + 1


def _at_parameter(document: MaskDocument, problem: MaskProblem) -> Finding:
    return Finding(*_position(document, problem), problem.message, problem.hint)


def _try_row_filter(asked: Asked, document: RowFilterDocument, sql: Sql) -> None:
    """Try the predicate on the tables of the scope; one without its columns will be denied."""
    lacking: dict[str, str] = {}
    fitting_tables = []
    for table in asked.tables:
        gone = [reference for reference, column in _columns_in(sql, table) if column is None]
        if gone:
            lacking[table.label] = ".".join(gone[0].path)
        else:
            fitting_tables.append(table)
    if asked.tables and not fitting_tables:
        label, name = next(iter(lacking.items()))
        reference = next(r for r in sql.inspected.columns if ".".join(r.path) == name)
        table = next(t for t in asked.tables if t.label == label)
        near = get_close_matches(name, [column.name for column in table.columns], n=1)
        hint = f"Did you mean {near[0]}?" if near else ""
        place = sql.places[reference.start]
        asked.find(place, f"There is no column {name!r} in {asked.scope.label}.", hint)
    elif lacking:
        some = ", ".join(sorted(lacking)[:MAX_LISTED])
        message = f"{len(lacking)} tables lack a column it filters by: nobody may query {some}."
        hint = "Choose a narrower scope, or exempt those who may query them."
        line, column = document.where.start_mark.line + 1, document.where.start_mark.column + 1
        asked.note([Finding(line, column, message, hint, "warning")])
    _fit(asked, sql, [(table, "BOOLEAN") for table in fitting_tables], is_error=True)


def _fit(
    asked: Asked, sql: Sql, wanted: Sequence[tuple[Securable, str]], *, is_error: bool
) -> None:
    """Let the engine say whether the SQL is of the type it must be, once for each shape."""
    tried: set[tuple[Any, ...]] = set()
    for table, kind in wanted:
        types = [c.type if c else "" for _, c in _columns_in(sql, table)]
        if (kind, *types) in tried or len(tried) >= MAX_TRIED:
            continue
        tried.add((kind, *types))
        for fault in expressions.checker().fit(sql.text, kind, table.columns):
            where = "" if asked.is_about_one_table else f"In {table.label}: "
            place = _place(sql, fault.line, fault.column)
            severity = "error" if is_error else "warning"
            asked.find(place, f"{where}{fault.message}", fault.hint, severity)  # type: ignore[arg-type]
