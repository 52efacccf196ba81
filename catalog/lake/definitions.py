"""Reads what a table's definition has beside its columns: comments, keys, and its version."""

from __future__ import annotations

from dataclasses import dataclass

from catalog.domain import Table
from catalog.lake.metadata import rows
from catalog.models import Catalog


@dataclass(frozen=True, slots=True)
class Definition:
    """What DuckLake keeps of a table beside its columns.

    `partition_by` are (field id, transform), `sort_by` are (expression, direction); comments of
    columns are by field id.
    """

    schema_version: int
    comment: str
    column_comments: dict[int, str]
    partition_by: tuple[tuple[int, str], ...]
    sort_by: tuple[tuple[str, str], ...]


def definition(catalog: Catalog, snapshot_id: int, table: Table) -> Definition:
    """Return the definition of one table at a snapshot."""
    parameters = {"snapshot": snapshot_id, "table": table.table_id}
    version = rows(
        catalog,
        "SELECT coalesce(max(schema_version), 0) FROM {ducklake_schema_versions}"
        " WHERE table_id = %(table)s AND begin_snapshot <= %(snapshot)s",
        parameters,
    )
    comment = rows(
        catalog,
        "SELECT value FROM {ducklake_tag} WHERE object_id = %(table)s AND key = 'comment'"
        " AND {live}",
        parameters,
    )
    comments = rows(
        catalog,
        "SELECT column_id, value FROM {ducklake_column_tag} WHERE table_id = %(table)s"
        " AND key = 'comment' AND {live}",
        parameters,
    )
    partition = rows(
        catalog,
        "SELECT c.column_id, c.transform FROM {ducklake_partition_column} c"
        " JOIN (SELECT partition_id FROM {ducklake_partition_info}"
        "  WHERE table_id = %(table)s AND {live}) i USING (partition_id)"
        " ORDER BY c.partition_key_index",
        parameters,
    )
    sort = rows(
        catalog,
        "SELECT e.expression, e.sort_direction FROM {ducklake_sort_expression} e"
        " JOIN (SELECT sort_id FROM {ducklake_sort_info}"
        "  WHERE table_id = %(table)s AND {live}) i USING (sort_id)"
        " ORDER BY e.sort_key_index",
        parameters,
    )
    return Definition(
        schema_version=version[0][0],
        comment=(comment[0][0] or "") if comment else "",
        column_comments={column: text for column, text in comments if text},
        partition_by=tuple((column, transform) for column, transform in partition),
        sort_by=tuple((expression, direction) for expression, direction in sort),
    )
