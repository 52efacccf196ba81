"""Takes a whole catalog back to a snapshot: what is new goes, what is gone comes, rows last."""

from __future__ import annotations

from typing import Any

import duckdb
import psycopg

from catalog.writer.definitions import check_unchanged, refused
from catalog.writer.metadata import Commit, commit
from catalog.writer.restoring import restored
from catalog.writer.session import Lake, Spec
from catalog.writer.stored_views import check_free, end_comment, say


def roll_back_catalog(lake: Lake, session: psycopg.Connection, spec: Spec) -> dict[str, Any]:
    """Carry out a catalog's way back; the rows of all tables are one commit, the last one.

    Before it: tables that are newer go, dropped ones and views come back, and definitions change,
    each a commit, so that each finds the names free that it needs. Raises `BadInput`.
    """
    asked = spec.arguments
    mark = 1
    if asked["drops"]:
        if not lake.is_committed(spec.marker(mark)):
            for expected in asked["expects_dropped"]:
                check_unchanged(lake, spec, expected)
        lake.commit(spec.marker(mark), asked["drops"])
    result: dict[str, Any] = {}
    if asked["restores"] or asked["views"]:
        result = commit(session, spec, lambda made: _bring_back(made, asked))
    for table in asked["tables"]:
        for at, text in enumerate(table["statements"]):
            mark += 1
            if at == 0 and not lake.is_committed(spec.marker(mark)):
                check_unchanged(lake, spec, table["expects"])
            try:
                lake.commit(spec.marker(mark), [text])
            except duckdb.CatalogException as error:
                raise refused(error, mark) from error
    return _rows(lake, spec, spec.marker(mark + 1)) or result


def _rows(lake: Lake, spec: Spec, mark: str) -> dict[str, Any]:
    """Make the rows of every table those of the snapshot, in one commit."""
    tables = spec.arguments["tables"]
    if not tables:
        return {"snapshot_id": lake.newest_snapshot(), "rows": None}
    if not lake.is_committed(mark):
        for table in tables:
            for text in table["setup"]:
                lake.execute(text)
    return lake.commit(mark, [text for table in tables for text in table["rows"]])


def _bring_back(made: Commit, asked: dict[str, Any]) -> None:
    """Give back what was dropped since, tables first, and end the views that are newer."""
    for table in asked["restores"]:
        restored(made, table)
    if asked["views"]:
        _views(made, int(asked["snapshot_id"]))


def _views(made: Commit, snapshot_id: int) -> None:
    """Make the views those that were live at the snapshot, and what is said of them."""
    newer = made.rows(
        "SELECT view_id, begin_snapshot FROM {ducklake_view} WHERE end_snapshot IS NULL"
        " AND begin_snapshot > %(then)s",
        then=snapshot_id,
    )
    for view_id, begun in newer:
        made.count(
            "UPDATE {ducklake_view} SET end_snapshot = %(at)s WHERE view_id = %(view)s"
            " AND begin_snapshot = %(begun)s",
            view=view_id,
            begun=begun,
        )
        end_comment(made, view_id)
        made.changes.append(f"dropped_view:{int(view_id)}")
    gone = made.rows(
        "SELECT v.view_id, v.begin_snapshot, s.schema_name, v.view_name, v.schema_id"
        " FROM {ducklake_view} v JOIN {ducklake_schema} s USING (schema_id)"
        " WHERE s.end_snapshot IS NULL AND v.begin_snapshot <= %(then)s"
        " AND v.end_snapshot > %(then)s",
        then=snapshot_id,
    )
    for view_id, begun, schema, name, schema_id in gone:
        check_free(made, schema_id, schema, name)
        made.count(
            "INSERT INTO {ducklake_view} (view_id, view_uuid, begin_snapshot, end_snapshot,"
            " schema_id, view_name, dialect, sql, column_aliases) SELECT view_id, view_uuid,"
            " %(at)s, NULL, schema_id, view_name, dialect, sql, column_aliases"
            " FROM {ducklake_view} WHERE view_id = %(view)s AND begin_snapshot = %(begun)s",
            view=view_id,
            begun=begun,
        )
        made.changes.append(f'created_view:"{schema}"."{name}"')
    _comments(made, snapshot_id)


def _comments(made: Commit, snapshot_id: int) -> None:
    """Say of each view what was said of it at the snapshot, the ones that came back included."""
    otherwise = made.rows(
        "SELECT v.view_id, c.value FROM {ducklake_view} v"
        " LEFT JOIN {ducklake_tag} c ON c.object_id = v.view_id AND c.key = 'comment'"
        "  AND c.begin_snapshot <= %(then)s"
        "  AND (c.end_snapshot IS NULL OR c.end_snapshot > %(then)s)"
        " LEFT JOIN {ducklake_tag} n ON n.object_id = v.view_id AND n.key = 'comment'"
        "  AND n.end_snapshot IS NULL"
        " WHERE v.end_snapshot IS NULL AND c.value IS DISTINCT FROM n.value",
        then=snapshot_id,
    )
    for view_id, comment in otherwise:
        end_comment(made, view_id)
        if comment:
            say(made, view_id, comment)
        made.changes.append(f"altered_view:{int(view_id)}")
