"""Commits that touch no data: rows of DuckLake's metadata, written as its specification says.

No engine is needed for them, and none is wanted: the text of a view is tenant SQL, which must not
be bound in a process that holds keys.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from catalog.writer.problems import BadInput
from catalog.writer.session import Spec


class Commit:
    """One snapshot in the making; `at` is its number."""

    def __init__(self, session: psycopg.Connection, spec: Spec, newest: tuple[int, int]) -> None:
        self.session = session
        self.spec = spec
        self.at = newest[0] + 1
        self.next_id = newest[1]
        self.changes: list[str] = []

    def new_id(self) -> int:
        """Return an id that nothing in the lake has."""
        self.next_id += 1
        return self.next_id - 1

    def rows(self, text: LiteralString, **parameters: Any) -> list[tuple[Any, ...]]:
        """Run one statement, `{ducklake_…}` naming the lake's tables, and return its rows."""
        done = self.session.execute(_named(self.spec, text), parameters | {"at": self.at})
        return done.fetchall() if done.description else []

    def count(self, text: LiteralString, **parameters: Any) -> int:
        """Run one statement, and return how many rows it changed."""
        return self.session.execute(_named(self.spec, text), parameters | {"at": self.at}).rowcount


def commit(
    session: psycopg.Connection, spec: Spec, work: Callable[[Commit], None]
) -> dict[str, Any]:
    """Make one marked snapshot of what `work` changes, unless it was already made.

    The caller holds the catalog's lock. Another program that commits to the lake at the same
    moment takes the snapshot's number first: then nothing was written, and a retry may do.
    """
    try:
        with session.transaction():
            if (done := _committed(session, spec)) is not None:
                return {"snapshot_id": done, "rows": None, "repeated": True}
            return _commit(session, spec, work)
    except psycopg.errors.UniqueViolation as error:
        raise BadInput(
            "lake-changed",
            "Another program committed to the lake at the same moment.",
            hint="Nothing of it was made; it is tried again.",
            retryable=True,
        ) from error


def _commit(
    session: psycopg.Connection, spec: Spec, work: Callable[[Commit], None]
) -> dict[str, Any]:
    newest = session.execute(
        _named(
            spec,
            "SELECT snapshot_id, next_catalog_id FROM {ducklake_snapshot}"
            " ORDER BY snapshot_id DESC LIMIT 1",
        )
    ).fetchone()
    if newest is None:
        raise BadInput("catalog-not-ready", "The lake has no snapshot.")
    made = Commit(session, spec, (newest[0], newest[1]))
    work(made)
    made.count(
        "INSERT INTO {ducklake_snapshot} (snapshot_id, snapshot_time, schema_version,"
        " next_catalog_id, next_file_id) SELECT %(at)s, now(), schema_version + 1, %(next_id)s,"
        " next_file_id FROM {ducklake_snapshot} WHERE snapshot_id = %(at)s - 1",
        next_id=made.next_id,
    )
    made.count(
        "INSERT INTO {ducklake_snapshot_changes} (snapshot_id, changes_made, author,"
        " commit_message, commit_extra_info)"
        " VALUES (%(at)s, %(changes)s, %(author)s, %(message)s, %(mark)s)",
        changes=",".join(made.changes),
        author=spec.author,
        message=spec.message,
        mark=spec.marker(),
    )
    return {"snapshot_id": made.at, "rows": None}


def _committed(session: psycopg.Connection, spec: Spec) -> int | None:
    found = session.execute(
        _named(
            spec,
            "SELECT max(snapshot_id) FROM {ducklake_snapshot_changes}"
            " WHERE commit_extra_info = %(mark)s",
        ),
        {"mark": spec.marker()},
    ).fetchone()
    return None if found is None else found[0]


def _named(spec: Spec, text: LiteralString) -> sql.Composed:
    names = {
        name: sql.Identifier(spec.metadata_schema, name)
        for name in TABLES
        if "{" + name + "}" in text
    }
    return sql.SQL(text).format(**names)


TABLES = (
    "ducklake_column",
    "ducklake_column_tag",
    "ducklake_data_file",
    "ducklake_delete_file",
    "ducklake_partition_info",
    "ducklake_schema",
    "ducklake_schema_versions",
    "ducklake_snapshot",
    "ducklake_snapshot_changes",
    "ducklake_sort_info",
    "ducklake_table",
    "ducklake_tag",
    "ducklake_view",
)
"""The tables of the lake that such commits read and write."""
