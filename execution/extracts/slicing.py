"""A slice in which a table is its extract: one file, no masks, no filter, only shown columns."""

from __future__ import annotations

from typing import Any

from catalog.domain import Column, Snapshot, Table

FIRST_FILE_ID = 2**50
"""Above every id that a lake gives its own files."""

NOT_HELD = "error('This extract does not hold the column')"
"""What stands for a shown column that the query does not read: an error, were it read."""

Json = dict[str, Any]


def view_of(entry: Json, table: Table) -> Json:
    """Return the view that shows the extract of an entry: every shown column, as it is held."""
    view = entry["view"]
    held = set(entry["extract"]["columns"])
    types = {column.name: column.duckdb_type for column in table.top_columns}
    columns = [
        [name, None if name in held else f"{NOT_HELD}::{types[name]}"]
        for name, _ in view["columns"]
    ]
    return {name: view[name] for name in ("schema", "name", "table")} | {"columns": columns}


def rows_of(
    entry: Json, table: Table, snapshot: Snapshot, ordinal: int, secret: str | None = None
) -> dict[str, Json]:
    """Return the rows by which DuckLake takes the extract for the table, by metadata table.

    `secret` opens it, where it is encrypted.
    """
    extract, hidden = entry["extract"], entry["view"]["table"]
    since = snapshot.snapshot_id
    of_table: Json = {"table_id": table.table_id, "begin_snapshot": since}
    counts = {"record_count": extract["rows"], "file_size_bytes": extract["size_bytes"]}
    return {
        "ducklake_table": of_table
        | {
            "table_uuid": str(table.table_uuid),
            "schema_id": 0,
            "table_name": hidden,
            "path": f"{hidden}/",
            "path_is_relative": True,
        },
        "ducklake_schema_versions": of_table | {"schema_version": snapshot.schema_version},
        "ducklake_table_stats": counts
        | {"table_id": table.table_id, "next_row_id": extract["rows"]},
        "ducklake_data_file": of_table
        | counts
        | {
            "data_file_id": FIRST_FILE_ID + table.table_id,
            "file_order": 0,
            "path": ordinal,
            "path_is_relative": False,
            "file_format": "parquet",
            "footer_size": extract["footer_bytes"],
            "row_id_start": 0,
            "encryption_key": secret,
        },
    }


def column_rows(entry: Json, table: Table, snapshot: Snapshot) -> list[Json]:
    """Return the rows of the columns that the extract holds, with all that is nested in them."""
    held = set(entry["extract"]["columns"])
    kept: dict[int, Column] = {}
    for column in table.columns:
        if column.name in held if column.parent_id is None else column.parent_id in kept:
            kept[column.column_id] = column
    return [
        {
            "column_id": column.column_id,
            "begin_snapshot": snapshot.snapshot_id,
            "table_id": table.table_id,
            "column_order": column.order,
            "column_name": column.name,
            "column_type": column.ducklake_type,
            "nulls_allowed": True,
            "parent_column": column.parent_id,
            "default_value_type": "literal",
            "default_value_dialect": "duckdb",
        }
        for column in kept.values()
    ]
