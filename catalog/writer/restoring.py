"""Brings dropped tables back as rows: the same table with its files, nothing copied.

A dropped table's rows have an end. What describes it gets new rows that begin now, so that the
snapshots between still have no such table. Its files cannot: DuckLake expires them by path, and
two rows of one file would let the older one's expiry delete the younger one's data. So theirs go
on as if they had never ended; where there is no table, nobody reads its files.
"""

from __future__ import annotations

from typing import Any, LiteralString

import psycopg

from catalog.writer.metadata import Commit, commit
from catalog.writer.problems import BadInput
from catalog.writer.quoting import quoted_name
from catalog.writer.session import Spec

AGAIN: tuple[tuple[LiteralString, LiteralString], ...] = (
    (
        "table_uuid, schema_id, table_name, path, path_is_relative, table_id",
        "{ducklake_table} WHERE table_id = %(table)s",
    ),
    (
        (
            "column_id, table_id, column_order, column_name, column_type, initial_default,"
            " default_value, nulls_allowed, parent_column, default_value_type,"
            " default_value_dialect"
        ),
        "{ducklake_column} WHERE table_id = %(table)s",
    ),
    ("table_id, column_id, key, value", "{ducklake_column_tag} WHERE table_id = %(table)s"),
    ("object_id, key, value", "{ducklake_tag} WHERE object_id = %(table)s"),
    ("partition_id, table_id", "{ducklake_partition_info} WHERE table_id = %(table)s"),
    ("sort_id, table_id", "{ducklake_sort_info} WHERE table_id = %(table)s"),
)
"""What is written once more, of the rows that ended with the table: columns and where they are."""


def restore_table(session: psycopg.Connection, spec: Spec) -> dict[str, Any]:
    """Bring one dropped table back as a snapshot. Raises `BadInput`."""
    return commit(session, spec, lambda made: restored(made, spec.arguments["dropped"]))


def restored(made: Commit, dropped: dict[str, Any]) -> None:
    """Bring a dropped table back within a commit. Raises `BadInput`."""
    table, ended = int(dropped["table_id"]), int(dropped["end_snapshot"])
    _check(made, dropped, table, ended)
    for columns, source in AGAIN:
        target = source.partition(" ")[0]
        made.count(
            "INSERT INTO " + target + " (" + columns + ", begin_snapshot, end_snapshot) SELECT "  # noqa: S608 - our own names
            + columns + ", %(at)s, NULL FROM " + source + " AND end_snapshot = %(ended)s",
            table=table,
            ended=ended,
        )  # fmt: skip
    for files in ("{ducklake_data_file}", "{ducklake_delete_file}"):
        made.count(
            "UPDATE " + files + " SET end_snapshot = NULL"  # noqa: S608 - our own names
            " WHERE table_id = %(table)s AND end_snapshot = %(ended)s",
            table=table,
            ended=ended,
        )
    made.changes.append(
        f"created_table:{quoted_name(dropped['schema'])}.{quoted_name(dropped['table'])}"
    )


def _check(made: Commit, dropped: dict[str, Any], table: int, ended: int) -> None:
    """Raise `BadInput` unless the table is still gone, all of it is kept, and its name is free."""
    is_kept = made.rows(
        "SELECT 1 FROM {ducklake_snapshot} WHERE snapshot_id = %(before)s", before=ended - 1
    )
    there = made.rows(
        "SELECT s.schema_id FROM {ducklake_table} t JOIN {ducklake_schema} s USING (schema_id)"
        " WHERE t.table_id = %(table)s AND t.end_snapshot = %(ended)s AND s.end_snapshot IS NULL"
        " AND NOT EXISTS (SELECT 1 FROM {ducklake_table} n WHERE n.table_id = %(table)s"
        "  AND n.end_snapshot IS NULL)",
        table=table,
        ended=ended,
    )
    if not is_kept or not there:
        raise BadInput(
            "table-not-restorable",
            f"{dropped['schema']}.{dropped['table']} was restored or expired meanwhile.",
            hint="Look at the dropped tables again.",
        )
    taken = made.rows(
        "SELECT 1 FROM {ducklake_table} WHERE schema_id = %(schema)s AND end_snapshot IS NULL"
        " AND lower(table_name) = lower(%(name)s)"
        " UNION ALL SELECT 1 FROM {ducklake_view} WHERE schema_id = %(schema)s"
        " AND end_snapshot IS NULL AND lower(view_name) = lower(%(name)s)",
        schema=there[0][0],
        name=dropped["table"],
    )
    if taken:
        raise BadInput(
            "table-exists",
            f"{dropped['schema']}.{dropped['table']} is the name of another by now.",
            hint="Rename that one first.",
        )
