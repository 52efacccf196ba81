"""Makes, replaces, renames, describes and drops views, as rows: their text is never run here."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg

from catalog.writer.metadata import Commit, commit
from catalog.writer.problems import BadInput
from catalog.writer.quoting import quoted_name
from catalog.writer.session import Spec


def change_view(session: psycopg.Connection, spec: Spec) -> dict[str, Any]:
    """Carry out one change of a view as a snapshot. Raises `BadInput`."""
    asked = spec.arguments["change"]
    changes = {"create": _create, "comment": _comment, "drop": _drop, "rename": _rename}
    return commit(session, spec, lambda made: changes[asked["op"]](made, asked))


def _create(made: Commit, asked: dict[str, Any]) -> None:
    """Make a view, in the place of the one that is there where it `replaces` that.

    It takes over that one's comment where it is given none, not even an empty one.
    """
    comment = asked.get("comment")
    if replaced := asked.get("replaces"):
        comment = _comment_of(made, replaced["view_id"]) if comment is None else comment
        _drop(made, replaced)
    schema_id = _schema(made, asked["schema"])
    check_free(made, schema_id, asked["schema"], asked["name"])
    view_id = made.new_id()
    made.count(
        "INSERT INTO {ducklake_view} (view_id, view_uuid, begin_snapshot, end_snapshot, schema_id,"
        " view_name, dialect, sql, column_aliases)"
        " VALUES (%(view)s, %(uuid)s, %(at)s, NULL, %(schema)s, %(name)s, 'duckdb', %(sql)s, '')",
        view=view_id,
        uuid=uuid.uuid4(),
        schema=schema_id,
        name=asked["name"],
        sql=asked["sql"],
    )
    if comment:
        say(made, view_id, comment)
    made.changes.append(f"created_view:{_spelled(asked)}")


def _rename(made: Commit, asked: dict[str, Any]) -> None:
    check_free(made, _schema(made, asked["schema"]), asked["schema"], asked["to"])
    _expect(made, asked)
    made.count(
        "INSERT INTO {ducklake_view} (view_id, view_uuid, begin_snapshot, end_snapshot, schema_id,"
        " view_name, dialect, sql, column_aliases) SELECT view_id, view_uuid, %(at)s, NULL,"
        " schema_id, %(to)s, dialect, sql, column_aliases FROM {ducklake_view}"
        " WHERE view_id = %(view)s AND end_snapshot IS NULL",
        view=asked["view_id"],
        to=asked["to"],
    )
    made.count(
        "UPDATE {ducklake_view} SET end_snapshot = %(at)s WHERE view_id = %(view)s"
        " AND begin_snapshot = %(begun)s",
        view=asked["view_id"],
        begun=asked["begin_snapshot"],
    )
    # As DuckLake itself writes it; see its altered views.
    made.changes.append(f"created_view:{_spelled(asked | {'name': asked['to']})}")


def _comment(made: Commit, asked: dict[str, Any]) -> None:
    _expect(made, asked)
    end_comment(made, asked["view_id"])
    if asked["comment"]:
        say(made, asked["view_id"], asked["comment"])
    made.changes.append(f"altered_view:{int(asked['view_id'])}")


def _drop(made: Commit, asked: dict[str, Any]) -> None:
    _expect(made, asked)
    made.count(
        "UPDATE {ducklake_view} SET end_snapshot = %(at)s WHERE view_id = %(view)s"
        " AND end_snapshot IS NULL",
        view=asked["view_id"],
    )
    end_comment(made, asked["view_id"])
    made.changes.append(f"dropped_view:{int(asked['view_id'])}")


def _expect(made: Commit, asked: dict[str, Any]) -> None:
    """Raise `BadInput` unless the view is the one that was looked at."""
    found = made.rows(
        "SELECT 1 FROM {ducklake_view} WHERE view_id = %(view)s AND end_snapshot IS NULL"
        " AND begin_snapshot = %(begun)s",
        view=asked["view_id"],
        begun=asked["begin_snapshot"],
    )
    if not found:
        raise BadInput(
            "view-changed",
            f"The view {asked['schema']}.{asked['name']} was changed by another job meanwhile.",
            hint="Nothing of this change was made. Look at the view and ask again.",
        )


def _schema(made: Commit, name: str) -> int:
    found = made.rows(
        "SELECT schema_id FROM {ducklake_schema} WHERE schema_name = %(name)s"
        " AND end_snapshot IS NULL",
        name=name,
    )
    if not found:
        raise BadInput("unknown-schema", f"The schema {name} was dropped meanwhile.")
    return int(found[0][0])


def check_free(made: Commit, schema_id: int, schema: str, name: str) -> None:
    """Raise `BadInput` where a table or another view bears the name."""
    found = made.rows(
        "SELECT 1 FROM {ducklake_table} WHERE schema_id = %(schema)s AND end_snapshot IS NULL"
        " AND lower(table_name) = lower(%(name)s)"
        " UNION ALL SELECT 1 FROM {ducklake_view} WHERE schema_id = %(schema)s"
        " AND end_snapshot IS NULL AND lower(view_name) = lower(%(name)s)",
        schema=schema_id,
        name=name,
    )
    if found:
        raise BadInput(
            "table-exists", f"{schema}.{name} is already there.", hint="Choose another name."
        )


def say(made: Commit, view_id: int, text: str) -> None:
    """Give a view a comment, which it must not have."""
    made.count(
        "INSERT INTO {ducklake_tag} (object_id, begin_snapshot, end_snapshot, key, value)"
        " VALUES (%(view)s, %(at)s, NULL, 'comment', %(comment)s)",
        view=view_id,
        comment=text,
    )


def _comment_of(made: Commit, view_id: int) -> str:
    found = made.rows(
        "SELECT value FROM {ducklake_tag} WHERE object_id = %(view)s AND key = 'comment'"
        " AND end_snapshot IS NULL",
        view=view_id,
    )
    return str(found[0][0]) if found else ""


def end_comment(made: Commit, view_id: int) -> None:
    """Take the comment of a view away, where it has one."""
    made.count(
        "UPDATE {ducklake_tag} SET end_snapshot = %(at)s WHERE object_id = %(view)s"
        " AND key = 'comment' AND end_snapshot IS NULL",
        view=view_id,
    )


def _spelled(asked: dict[str, Any]) -> str:
    return f"{quoted_name(asked['schema'])}.{quoted_name(asked['name'])}"
