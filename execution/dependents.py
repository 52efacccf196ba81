"""Saved queries that name a table, for those who are about to change it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from accounts.domain import Actor
from catalog.domain import Table
from catalog.models import Catalog
from catalog.tables.dependents import Dependent
from execution import gate
from execution.domain import TableName
from execution.gate.check import fold
from execution.models import SavedQuery
from execution.resolve import MAIN

MAX_LOOKED_AT = 1000
WORD = re.compile(r'"(?:[^"]|"")+"|[^\W\d]\w*')


@dataclass(frozen=True, slots=True)
class SavedQueries:
    """What execution registers with the catalog; see `catalog.tables.dependents.Dependents`."""

    def naming(
        self,
        actor: Actor,  # noqa: ARG002 - all members see a workspace's saved queries
        catalog: Catalog,
        table: Table,
        columns: frozenset[str] | None,
    ) -> list[Dependent]:
        """Return the saved queries of the workspace that name the table, or a column of it."""
        found = []
        saved = SavedQuery.objects.filter(workspace=catalog.workspace).order_by("name")
        for query in saved[:MAX_LOOKED_AT]:
            if not _names_table(query.sql, table):
                continue
            named = [] if columns is None else sorted(columns & _words(query.sql, columns))
            if columns is None or named:
                what = table.label if columns is None else ", ".join(named)
                found.append(Dependent("saved_query", query.name, f"names {what}: it may fail."))
        return found


def _names_table(sql: str, table: Table) -> bool:
    try:
        names = gate.check(sql, time_travel=True).tables
    except gate.SqlRefused:
        return False
    return any(may_mean(name, table) for name in names)


def may_mean(name: TableName, table: Table) -> bool:
    """Tell whether a name, short or whole, may stand for the table."""
    if fold(name.table) != fold(table.name):
        return False
    given = {fold(part) for part in (name.catalog, name.schema) if part}
    known = {fold(table.catalog_name), fold(table.schema_name)}
    return given <= known and (bool(given) or fold(table.schema_name) == MAIN)


def _words(sql: str, columns: frozenset[str]) -> frozenset[str]:
    """Return the columns whose names are words of the text."""
    words = {fold(word.strip('"').replace('""', '"')) for word in WORD.findall(sql)}
    return frozenset(column for column in columns if fold(column) in words)
