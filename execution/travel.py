"""Gives each table that a text reads at another snapshot a name of its own, without `AT`.

The engine that runs the text holds a slice for each catalog and snapshot, under such a name; in
no slice is there a history. What comes out passes the gate once more, which must find in it the
very tables that were decided about.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from catalog.lake.types import quoted
from execution import gate
from execution.domain import ColumnReference, GatedQuery, TableName, TableReference
from execution.gate import names
from execution.gate.check import fold
from execution.gate.refusal import place
from execution.moments import HINT
from execution.resolve import Resolution

BEFORE = re.compile(
    r"\bAT\s*\(\s*(VERSION|TIMESTAMP)\s*=>\s*((TIMESTAMP|TIMESTAMPTZ|DATE)\s+)?\Z", re.IGNORECASE
)
AFTER = re.compile(
    r"([0-9]+|'[^']*')\s*(::\s*(TIMESTAMP|TIMESTAMPTZ|DATE)\s*)?\)", re.IGNORECASE | re.ASCII
)

Whole = tuple[str, str, str]


class Edit(NamedTuple):
    """What stands in the place of some characters of the text."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Written:
    """A text as engines get it, and by which edits, in order, it came from the one that was sent.

    Without edits it is that one.
    """

    asked: str
    sql: str
    edits: tuple[Edit, ...] = ()

    def place_asked(self, line: int, column: int) -> dict[str, int]:
        """Return where in the text that was sent something stands, by where it does in this one."""
        lines = self.sql.split("\n")
        at = sum(len(text) + 1 for text in lines[: line - 1]) + column - 1
        moved = 0
        for edit in self.edits:
            start = edit.start + moved
            if at < start:
                break
            if at < start + len(edit.text):
                return place(self.asked[: edit.start])
            moved += len(edit.text) - (edit.end - edit.start)
        return place(self.asked[: at - moved])


def travels(query: GatedQuery) -> bool:
    """Tell whether the text gives a table a snapshot of its own."""
    return any(name.at for name in query.tables)


def written(query: GatedQuery, resolution: Resolution) -> Written:
    """Return the text with the engine's name for each table that has a moment, without moments.

    Raises `SqlRefused` where it is not plain where a moment stands in the text.
    """
    if not travels(query):
        return Written(query.sql, query.sql)
    edits = sorted([*_tables(query, resolution), *_columns(query, resolution)])
    sql = query.sql
    for start, end, text in reversed(edits):
        sql = f"{sql[:start]}{text}{sql[end:]}"
    wanted = [resolution.engine_name(r.name) if r.name.at else r.name for r in query.references]
    try:
        found = [reference.name for reference in gate.check(sql).references]
    except gate.SqlRefused as refused:
        raise unclear() from refused
    if found != wanted:
        raise unclear()
    return Written(query.sql, sql, tuple(edits))


def unclear() -> gate.SqlRefused:
    """Return the refusal of a text that hides where its moments are."""
    return gate.SqlRefused(
        gate.RefusalCode.TIME_TRAVEL, "It is not clear where AT (…) stands in the text.", hint=HINT
    )


def _tables(query: GatedQuery, resolution: Resolution) -> Iterator[Edit]:
    """Return what replaces the names of tables, and what takes their moments away."""
    sql = query.sql
    for reference in query.references:
        if not reference.name.at:
            continue
        spans = _spans(sql, reference.location, filter(None, _parts(reference.name)))
        at = _character(sql, reference.moment_location)
        before, after = BEFORE.search(sql, spans[-1][1], at), AFTER.match(sql, at)
        if before is None or after is None:
            raise unclear()
        whole = ".".join(map(quoted, _parts(resolution.engine_name(reference.name))))
        yield Edit(spans[0][0], spans[-1][1], whole)
        yield Edit(before.start(), after.end(), "")


def _columns(query: GatedQuery, resolution: Resolution) -> Iterator[Edit]:
    """Return what replaces the catalog before columns of tables that the engine has elsewhere."""
    elsewhere = _elsewhere(query.references, resolution) if query.columns else {}
    for column in query.columns:
        if catalog := _catalog_of(column, elsewhere):
            start, end = _spans(query.sql, column.location, column.parts)[0]
            yield Edit(start, end, quoted(catalog))


def _elsewhere(references: Iterable[TableReference], resolution: Resolution) -> dict[Whole, str]:
    """Return in which catalog the engine has tables, by whole name, where it is not their own.

    A table with an alias is known by that alone. One that is read at several snapshots is left
    out: its whole name says nothing.
    """
    catalogs: dict[Whole, set[str]] = defaultdict(set)
    for reference in references:
        if not reference.is_aliased:
            catalog, schema, table = map(fold, _parts(resolution.own_name(reference.name)))
            shown = resolution.engine_name(reference.name).catalog
            catalogs[catalog, schema, table].add(shown)
    return {
        name: shown
        for name, (shown, *others) in catalogs.items()
        if not others and fold(shown) != name[0]
    }


def _catalog_of(column: ColumnReference, elsewhere: dict[Whole, str]) -> str:
    """Return where the engine has the table that a column is named with; nothing where it is one's.

    As the engine reads names: catalog, schema and table, else catalog and table.
    """
    first, second, third = map(fold, column.parts[:3])
    if found := elsewhere.get((first, second, third)):
        return found
    short = (shown for name, shown in elsewhere.items() if (name[0], name[2]) == (first, second))
    return next(short, "")


def _spans(sql: str, location: int, parts: Iterable[str]) -> tuple[names.Span, ...]:
    try:
        return names.spans(sql, _character(sql, location), list(parts))
    except names.NameNotFound:
        raise unclear() from None


def _parts(name: TableName) -> Whole:
    return name.catalog, name.schema, name.table


def _character(sql: str, byte: int) -> int:
    return len(sql.encode()[:byte].decode(errors="ignore"))
