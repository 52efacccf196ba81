"""Changes what tables are, one statement per commit, if they still are what was looked at."""

from __future__ import annotations

from typing import Any

import duckdb

from catalog.writer.problems import BadInput
from catalog.writer.quoting import quoted_name
from catalog.writer.session import Lake, Spec


def define(lake: Lake, spec: Spec) -> dict[str, Any]:
    """Run each statement as a marked commit.

    One transaction for several would be shorter, but DuckLake 1.0 leaves a lake unreadable where
    one renames a column and changes its type. Raises `BadInput` where the table has changed since.
    """
    statements = spec.arguments["statements"]
    result: dict[str, Any] = {}
    for at, text in enumerate(statements):
        if at == 0 and not lake.is_committed(spec.marker()):
            check_unchanged(lake, spec, spec.arguments.get("expects"))
        try:
            result = lake.commit(spec.marker(at), [text])
        except duckdb.CatalogException as error:
            raise refused(error, at) from error
    return result


def roll_back(lake: Lake, spec: Spec) -> dict[str, Any]:
    """Give a table its earlier definition, then in one commit the rows that differ.

    What differs is worked out by `setup` in temporary tables: nobody writes beside this process.
    The last of `statements` deletes, `restores` inserts. Raises `BadInput`.
    """
    *before, delete = spec.arguments["statements"]
    if not lake.is_committed(spec.marker(len(before))):
        if not lake.is_committed(spec.marker()):
            check_unchanged(lake, spec, spec.arguments.get("expects"))
        for at, text in enumerate(before):
            try:
                lake.commit(spec.marker(at), [text])
            except duckdb.CatalogException as error:
                raise refused(error, at) from error
        for text in spec.arguments["setup"]:
            lake.execute(text)
    return lake.commit(spec.marker(len(before)), [delete, spec.arguments["restores"]])


def check_unchanged(lake: Lake, spec: Spec, expected: dict[str, Any] | None) -> None:
    """Raise `BadInput` unless the table is the one that was looked at, in the same version."""
    if expected is None:
        return
    schema = f"__ducklake_metadata_lake.{quoted_name(spec.metadata_schema)}"
    found = lake.execute(
        f"SELECT max(v.schema_version) FROM {schema}.ducklake_table t"  # noqa: S608 - quoted
        f" JOIN {schema}.ducklake_schema s ON s.schema_id = t.schema_id AND s.end_snapshot IS NULL"
        f" LEFT JOIN {schema}.ducklake_schema_versions v ON v.table_id = t.table_id"
        " WHERE t.end_snapshot IS NULL AND CAST(t.table_uuid AS VARCHAR) = ?"
        " AND t.table_name = ? AND s.schema_name = ? GROUP BY t.table_id",
        [expected["table_uuid"], expected["table"], expected["schema"]],
    )
    if not found or int(found[0][0] or 0) != expected["schema_version"]:
        raise BadInput(
            "table-changed",
            f"{expected['schema']}.{expected['table']} was changed by another job meanwhile.",
            hint="Nothing of this change was made. Look at the table and ask again.",
        )


def refused(error: duckdb.Error, at: int) -> BadInput:
    """Return why a statement failed, and how many before it were carried out."""
    first = str(error).partition("\n")[0].strip()
    done = (
        f"The {'first change' if at == 1 else f'first {at} changes'} of it were made." if at else ""
    )
    return BadInput("statement-failed", first, hint=done or "Nothing of it was made.")
