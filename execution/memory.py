"""What the operators of a plan hold in memory: rows times width, by the types of the columns.

DuckDB keeps the build side of a hash join, the groups of an aggregate, and all rows of a sort or
a window; other operators pass rows on. How wide a row is follows from the layout of its rows
(Kuiper and Muehleisen, "Saving Private Hash Join", VLDB 2025): columns side by side, strings of
16 bytes with what is longer than 12 on a heap, and a hash table's entries beside them. The factors
are fitted to measured peaks (benchmarks/results/memory.json).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from execution.bind.explain import SCAN, Operator
from execution.widths import EXPRESSION_BYTES, ColumnFacts, TableFacts

ENTRY_BYTES = 32
STATE_BYTES = 16
LAYOUT_BYTES = 8
SORTING = {"ORDER_BY": 1.5, "WINDOW": 2.5}
"""A sort holds its keys beside the rows and two runs while it merges; a window reads them too."""

KEEPING = 3
"""A list grows by doubling, and is copied whole when it is done."""

POSITION = re.compile(r"#([0-9]+)")
COMPRESSED = re.compile(r"__internal_(?:de)?compress_\w+\((#[0-9]+|[^,()]+)[,)].*")
"""How the engine narrows a column on its way into an operator: the same values, in fewer bytes."""

PLAIN = re.compile(r"\w+")
KEEPS_ALL = re.compile(
    r"(?i)\b(list|array_agg|string_agg|group_concat|listagg|median|quantile\w*|mode|histogram)\("
    r"|\(DISTINCT "
)
"""Aggregates that hold every row they were given, not one state for each group."""

ONE_SIDED = frozenset({"ANTI", "MARK", "RIGHT_ANTI", "RIGHT_SEMI", "SEMI"})


def held_bytes(roots: Sequence[Operator], tables: Mapping[str, TableFacts]) -> int:
    """Return the bytes that all blocking operators of a plan hold, as if all at the same time.

    `tables` are by the hidden names under which the plan scans them.
    """
    reader = _Reader(tables)
    return sum(reader.flow(root).held for root in roots)


@dataclass(frozen=True, slots=True)
class _Flow:
    """What an operator passes on, and what it and all below it hold."""

    rows: int
    columns: tuple[ColumnFacts, ...]
    held: int = 0

    @property
    def width(self) -> int:
        return LAYOUT_BYTES + sum(column.width for column in self.columns)


@dataclass(slots=True)
class _Reader:
    """Walks a plan from its scans up; remembers what a CTE yields for those that scan it."""

    tables: Mapping[str, TableFacts]
    shared: dict[str, _Flow] = field(default_factory=dict)

    def flow(self, node: Operator) -> _Flow:
        """Return what `node` passes on, with all that is held below it."""
        if node.name == SCAN:
            return self._scan(node)
        if node.name in {"CTE_SCAN", "REC_CTE_SCAN"}:
            return self.shared.get("".join(node.detail("CTE Index")), _Flow(node.rows, ()))
        inputs = []
        for child in node.children:
            inputs.append(self.flow(child))
            if node.name == "CTE" and len(inputs) == 1:
                self.shared["".join(node.detail("Table Index"))] = replace(inputs[0], held=0)
        if not inputs:
            return _Flow(node.rows, ())
        found = _passed_on(node, inputs)
        return replace(found, held=found.held + sum(flow.held for flow in inputs))

    def _scan(self, node: Operator) -> _Flow:
        table = self.tables[node.table]
        names = (text.split(".")[0] for text in node.detail("Projections"))
        columns = (table.columns.get(name, ColumnFacts(name, EXPRESSION_BYTES)) for name in names)
        return _Flow(min(node.rows, table.rows), tuple(columns))


def _passed_on(node: Operator, inputs: Sequence[_Flow]) -> _Flow:
    """Return the flow out of an operator, with only what it holds itself."""
    kinds = {
        "PROJECTION": _projection,
        "ORDER_BY": _sort,
        "WINDOW": _sort,
        "CTE": _cte,
        "TOP_N": _top,
        "UNION": _union,
        "UNGROUPED_AGGREGATE": _whole_aggregate,
    }
    if "JOIN" in node.name:
        return _join(node, inputs)
    if "GROUP_BY" in node.name:
        return _groups(node, inputs)
    return kinds.get(node.name, _same)(node, inputs)


def _same(node: Operator, inputs: Sequence[_Flow]) -> _Flow:
    return _Flow(min(_rows(node, inputs), inputs[0].rows), inputs[0].columns)


def _rows(node: Operator, inputs: Sequence[_Flow]) -> int:
    """Return the engine's estimate, scaled by how much fewer rows we know to come in."""
    scale = math.prod(
        min(1.0, flow.rows / child.rows)
        for flow, child in zip(inputs, node.children, strict=True)
        if child.rows
    )
    return max(1, int(node.rows * scale))


def _projection(node: Operator, inputs: Sequence[_Flow]) -> _Flow:
    columns = _projected(node.detail("Projections"), inputs[0].columns)
    return _Flow(inputs[0].rows, columns)


def _projected(texts: Sequence[str], columns: Sequence[ColumnFacts]) -> tuple[ColumnFacts, ...]:
    """Return what the expressions stand for.

    A column under an alias cannot be told by its name: those take, in order, the columns that no
    expression mentions.
    """
    words = {word.lower() for text in texts for word in PLAIN.findall(text)}
    unnamed = iter([column for column in columns if column.name.lower() not in words])
    found = []
    for text in texts:
        column = _expression(text, columns)
        if column is None and PLAIN.fullmatch(text):
            column = next(unnamed, None)
        found.append(column or ColumnFacts(text, EXPRESSION_BYTES))
    return tuple(found)


def _expression(text: str, columns: Sequence[ColumnFacts]) -> ColumnFacts | None:
    """Return the column that an expression is, by position or by name; None for anything else."""
    inner = COMPRESSED.fullmatch(text)
    plain = inner[1] if inner else text
    if position := POSITION.fullmatch(plain):
        number = int(position[1])
        return columns[number] if number < len(columns) else None
    name = plain.rsplit(".", 1)[-1].strip('"').lower()
    return next((column for column in columns if column.name.lower() == name), None)


def _join(node: Operator, inputs: Sequence[_Flow]) -> _Flow:
    """Hold the right side; a join that only asks whether there is a match passes on the left."""
    left, build = inputs[0], inputs[-1]
    held, rows = build.rows * (build.width + ENTRY_BYTES), _rows(node, inputs)
    if ONE_SIDED & set(node.detail("Join Type")):
        return _Flow(min(rows, left.rows), left.columns, held)
    return _Flow(rows, (*left.columns, *build.columns), held)


def _groups(node: Operator, inputs: Sequence[_Flow]) -> _Flow:
    given = inputs[0]
    groups = _projected(node.detail("Groups"), given.columns)
    aggregates = node.detail("Aggregates")
    rows = min(node.rows, given.rows, _most_groups(groups))
    width = LAYOUT_BYTES + sum(group.width for group in groups) + STATE_BYTES * len(aggregates)
    states = tuple(ColumnFacts(text, STATE_BYTES) for text in aggregates)
    return _Flow(rows, (*groups, *states), rows * (width + ENTRY_BYTES) + _kept(node, given))


def _whole_aggregate(node: Operator, inputs: Sequence[_Flow]) -> _Flow:
    return _Flow(1, (), _kept(node, inputs[0]))


def _kept(node: Operator, given: _Flow) -> int:
    """Return what aggregates hold that keep every row they are given."""
    held = 0
    for text in node.detail("Aggregates"):
        if KEEPS_ALL.search(text):
            kept = [_expression(f"#{n}", given.columns) for n in POSITION.findall(text)]
            width = LAYOUT_BYTES + sum(column.width for column in kept if column)
            distinct = "(DISTINCT " in text
            held += given.rows * (width + ENTRY_BYTES if distinct else KEEPING * width)
    return held


def _most_groups(groups: Sequence[ColumnFacts]) -> int:
    """Return about how many groups there can be: unknown is as many as rows."""
    if not all(group.distinct for group in groups):
        return 2**62
    together = math.prod(group.distinct or 1 for group in groups)
    return max(together, *(group.spelled for group in groups)) if groups else 1


def _sort(node: Operator, inputs: Sequence[_Flow]) -> _Flow:
    given = inputs[0]
    made = node.detail("Projections") if node.name == "WINDOW" else ()
    columns = (*given.columns, *(ColumnFacts(text, LAYOUT_BYTES) for text in made))
    width = LAYOUT_BYTES + sum(column.width for column in columns)
    return _Flow(given.rows, columns, int(given.rows * width * SORTING[node.name]))


def _top(node: Operator, inputs: Sequence[_Flow]) -> _Flow:
    most = "".join(node.detail("Top"))
    return _Flow(min(int(most) if most.isdigit() else node.rows, inputs[0].rows), inputs[0].columns)


def _cte(node: Operator, inputs: Sequence[_Flow]) -> _Flow:  # noqa: ARG001 - one shape for all
    return _Flow(inputs[-1].rows, inputs[-1].columns, inputs[0].rows * inputs[0].width)


def _union(node: Operator, inputs: Sequence[_Flow]) -> _Flow:  # noqa: ARG001 - one shape for all
    return _Flow(sum(flow.rows for flow in inputs), inputs[0].columns)
