"""Reads a lake's views. Their text is tenant SQL: it goes to the gate, and nowhere else."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from catalog.lake.metadata import Row, live_as, rows
from catalog.models import Catalog

ALIAS = re.compile(r'"((?:[^"]|"")*)"|([^,"]+)')
CATALOG = "{DUCKLAKE_CATALOG}"
"""How stored SQL names the lake that it is in, whatever it is attached as."""


@dataclass(frozen=True, slots=True)
class View:
    """One view at a snapshot. `sql` is as stored, `columns` the names that it gives, if any.

    `begin_snapshot` is when it became what it is: a replaced or renamed view has another.
    """

    view_id: int
    schema_name: str
    name: str
    dialect: str
    sql: str
    columns: tuple[str, ...]
    begin_snapshot: int = 0
    comment: str = ""


def view(catalog: Catalog, snapshot_id: int, schema: str, name: str) -> View | None:
    """Return one view by name, compared without case; None where there is none."""
    condition = sql.SQL(
        "lower(v.view_name) = lower(%(name)s) AND lower(s.schema_name) = lower(%(schema)s)"
    )
    found = _rows(catalog, snapshot_id, condition, {"name": name, "schema": schema})
    return _view(found[0]) if found else None


def views(catalog: Catalog, snapshot_id: int) -> list[View]:
    """Return every live view, sorted by schema and name."""
    return [_view(row) for row in _rows(catalog, snapshot_id, sql.SQL("true"), {})]


def _rows(
    catalog: Catalog, snapshot_id: int, condition: sql.Composable, parameters: dict[str, Any]
) -> list[Row]:
    return rows(
        catalog,
        "SELECT v.view_id, s.schema_name, v.view_name, v.dialect, v.sql, v.column_aliases,"
        " v.begin_snapshot, (SELECT max(c.value) FROM {ducklake_tag} c"
        "  WHERE c.object_id = v.view_id AND c.key = 'comment' AND {live_comment})"
        " FROM {ducklake_view} v JOIN {ducklake_schema} s USING (schema_id)"
        " WHERE {live_view} AND {live_schema} AND ({condition})"
        " ORDER BY s.schema_name, v.view_name",
        {"snapshot": snapshot_id} | parameters,
        live_comment=live_as("c"),
        live_view=live_as("v"),
        live_schema=live_as("s"),
        condition=condition,
    )


def _view(row: Row) -> View:
    view_id, schema, name, dialect, text, aliases, begun, comment = row
    columns = _aliases(aliases or "")
    return View(view_id, schema, name, dialect, text, columns, begun, comment or "")


def _aliases(text: str) -> tuple[str, ...]:
    """Return the names of a list such as `"one","two"`."""
    return tuple(
        quoted.replace('""', '"') or plain.strip()
        for quoted, plain in ALIAS.findall(text)
        if quoted or plain.strip()
    )
