"""Gives each table that a text reads at another snapshot a name of its own, without `AT`.

The engine that runs the text holds a slice for each catalog and snapshot, under such a name; in
no slice is there a history. What comes out passes the gate once more, which must find in it the
very tables that were decided about.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from catalog.lake.types import quoted
from execution import gate
from execution.domain import GatedQuery, TableName, TableReference
from execution.gate import names
from execution.moments import HINT

BEFORE = re.compile(
    r"\bAT\s*\(\s*(VERSION|TIMESTAMP)\s*=>\s*((TIMESTAMP|TIMESTAMPTZ|DATE)\s+)?\Z", re.IGNORECASE
)
AFTER = re.compile(
    r"([0-9]+|'[^']*')\s*(::\s*(TIMESTAMP|TIMESTAMPTZ|DATE)\s*)?\)", re.IGNORECASE | re.ASCII
)

Meaning = Callable[[TableName], TableName]
Edit = tuple[int, int, str]


def travels(query: GatedQuery) -> bool:
    """Tell whether the text gives a table a snapshot of its own."""
    return any(name.at for name in query.tables)


def written(query: GatedQuery, meaning: Meaning) -> str:
    """Return the text with `meaning` of each name that has a moment, and without moments.

    Raises `SqlRefused` where it is not plain where a moment stands in the text.
    """
    sql = query.sql
    wanted = [meaning(r.name) if r.name.at else r.name for r in query.references]
    edits = [
        edit
        for reference, name in zip(query.references, wanted, strict=True)
        if reference.name.at
        for edit in _edits(sql, reference, name)
    ]
    for start, end, text in sorted(edits, reverse=True):
        sql = f"{sql[:start]}{text}{sql[end:]}"
    if not edits:
        return sql
    try:
        found = [reference.name for reference in gate.check(sql).references]
    except gate.SqlRefused as refused:
        raise unclear() from refused
    if found != wanted:
        raise unclear()
    return sql


def unclear() -> gate.SqlRefused:
    """Return the refusal of a text that hides where its moments are."""
    return gate.SqlRefused(
        gate.RefusalCode.TIME_TRAVEL, "It is not clear where AT (…) stands in the text.", hint=HINT
    )


def _edits(sql: str, reference: TableReference, name: TableName) -> tuple[Edit, Edit]:
    """Return what replaces the table's name, and what takes its moment away."""
    parts = [part for part in _parts(reference.name) if part]
    try:
        spans = names.spans(sql, _character(sql, reference.location), parts)
    except names.NameNotFound:
        raise unclear() from None
    at = _character(sql, reference.moment_location)
    before, after = BEFORE.search(sql, spans[-1][1], at), AFTER.match(sql, at)
    if before is None or after is None:
        raise unclear()
    whole = ".".join(map(quoted, _parts(name)))
    return (spans[0][0], spans[-1][1], whole), (before.start(), after.end(), "")


def _parts(name: TableName) -> tuple[str, str, str]:
    return name.catalog, name.schema, name.table


def _character(sql: str, byte: int) -> int:
    return len(sql.encode()[:byte].decode(errors="ignore"))
