"""The metadata tables of DuckLake 1.0, as its extension makes them in PostgreSQL.

Upend makes them itself when it adopts a lake: no DDL of a stranger is ever run.
Source: https://ducklake.select/docs/stable/specification/tables/overview
"""

from __future__ import annotations

import re

VERSION = "1.0"

_KINDS = {"b": "bigint", "v": "character varying", "o": "boolean", "u": "uuid", "t": "timestamptz"}
_TABLES = {
    "ducklake_metadata": "key:v value:v scope:v scope_id:b",
    "ducklake_snapshot": (
        "snapshot_id:b snapshot_time:t schema_version:b next_catalog_id:b next_file_id:b"
    ),
    "ducklake_snapshot_changes": (
        "snapshot_id:b changes_made:v author:v commit_message:v commit_extra_info:v"
    ),
    "ducklake_schema": (
        "schema_id:b schema_uuid:u begin_snapshot:b end_snapshot:b schema_name:v path:v"
        " path_is_relative:o"
    ),
    "ducklake_table": (
        "table_id:b table_uuid:u begin_snapshot:b end_snapshot:b schema_id:b table_name:v path:v"
        " path_is_relative:o"
    ),
    "ducklake_view": (
        "view_id:b view_uuid:u begin_snapshot:b end_snapshot:b schema_id:b view_name:v dialect:v"
        " sql:v column_aliases:v"
    ),
    "ducklake_tag": "object_id:b begin_snapshot:b end_snapshot:b key:v value:v",
    "ducklake_column_tag": ("table_id:b column_id:b begin_snapshot:b end_snapshot:b key:v value:v"),
    "ducklake_data_file": (
        "data_file_id:b table_id:b begin_snapshot:b end_snapshot:b file_order:b path:v"
        " path_is_relative:o file_format:v record_count:b file_size_bytes:b footer_size:b"
        " row_id_start:b partition_id:b encryption_key:v mapping_id:b partial_max:b"
    ),
    "ducklake_file_column_stats": (
        "data_file_id:b table_id:b column_id:b column_size_bytes:b value_count:b null_count:b"
        " min_value:v max_value:v contains_nan:o extra_stats:v"
    ),
    "ducklake_file_variant_stats": (
        "data_file_id:b table_id:b column_id:b variant_path:v shredded_type:v"
        " column_size_bytes:b value_count:b null_count:b min_value:v max_value:v contains_nan:o"
        " extra_stats:v"
    ),
    "ducklake_delete_file": (
        "delete_file_id:b table_id:b begin_snapshot:b end_snapshot:b data_file_id:b path:v"
        " path_is_relative:o format:v delete_count:b file_size_bytes:b footer_size:b"
        " encryption_key:v partial_max:b"
    ),
    "ducklake_column": (
        "column_id:b begin_snapshot:b end_snapshot:b table_id:b column_order:b column_name:v"
        " column_type:v initial_default:v default_value:v nulls_allowed:o parent_column:b"
        " default_value_type:v default_value_dialect:v"
    ),
    "ducklake_table_stats": "table_id:b record_count:b next_row_id:b file_size_bytes:b",
    "ducklake_table_column_stats": (
        "table_id:b column_id:b contains_null:o contains_nan:o min_value:v max_value:v"
        " extra_stats:v"
    ),
    "ducklake_partition_info": "partition_id:b table_id:b begin_snapshot:b end_snapshot:b",
    "ducklake_partition_column": (
        "partition_id:b table_id:b partition_key_index:b column_id:b transform:v"
    ),
    "ducklake_file_partition_value": (
        "data_file_id:b table_id:b partition_key_index:b partition_value:v"
    ),
    "ducklake_files_scheduled_for_deletion": (
        "data_file_id:b path:v path_is_relative:o schedule_start:t"
    ),
    "ducklake_inlined_data_tables": "table_id:b table_name:v schema_version:b",
    "ducklake_column_mapping": "mapping_id:b table_id:b type:v",
    "ducklake_name_mapping": (
        "mapping_id:b column_id:b source_name:v target_field_id:b parent_column:b is_partition:o"
    ),
    "ducklake_schema_versions": "begin_snapshot:b schema_version:b table_id:b",
    "ducklake_macro": "schema_id:b macro_id:b macro_name:v begin_snapshot:b end_snapshot:b",
    "ducklake_macro_impl": "macro_id:b impl_id:b dialect:v sql:v type:v",
    "ducklake_macro_parameters": (
        "macro_id:b impl_id:b column_id:b parameter_name:v parameter_type:v default_value:v"
        " default_value_type:v"
    ),
    "ducklake_sort_info": "sort_id:b table_id:b begin_snapshot:b end_snapshot:b",
    "ducklake_sort_expression": (
        "sort_id:b table_id:b sort_key_index:b expression:v dialect:v sort_direction:v null_order:v"
    ),
}
TABLES: dict[str, tuple[tuple[str, str], ...]] = {
    table: tuple(
        (name, _KINDS[kind]) for name, _, kind in (c.partition(":") for c in columns.split())
    )
    for table, columns in _TABLES.items()
}
"""Each table's columns with their types, in the order in which DuckLake inserts."""

KEYS = {
    "ducklake_data_file": "data_file_id",
    "ducklake_delete_file": "delete_file_id",
    "ducklake_schema": "schema_id",
    "ducklake_snapshot": "snapshot_id",
    "ducklake_snapshot_changes": "snapshot_id",
}
"""The primary keys that DuckLake makes."""

NOT_ADOPTED = frozenset(
    {
        "ducklake_files_scheduled_for_deletion",
        "ducklake_macro",
        "ducklake_macro_impl",
        "ducklake_macro_parameters",
    }
)
"""Made, and left empty: stored code, and a list of files that a stranger wants deleted."""

INLINED_DATA = re.compile(r"ducklake_inlined_data_(\d{1,18})_(\d{1,18})")
INLINED_DELETE = re.compile(r"ducklake_inlined_delete_(\d{1,18})")
INLINED_SYSTEM = (("row_id", "bigint"), ("begin_snapshot", "bigint"), ("end_snapshot", "bigint"))
DELETE_COLUMNS = (("file_id", "bigint"), ("row_id", "bigint"), ("begin_snapshot", "bigint"))

DECIMAL = re.compile(r"decimal\((\d{1,2}),(\d{1,2})\)")
_STORED = {
    "blob": "bytea",
    "boolean": "boolean",
    "float32": "real",
    "float64": "double precision",
    "int8": "smallint",
    "int16": "smallint",
    "int32": "integer",
    "int64": "bigint",
    "interval": "interval",
    "json": "bytea",
    "time": "time",
    "timetz": "timetz",
    "uint8": "integer",
    "uint16": "integer",
    "uint32": "bigint",
    "uuid": "uuid",
    "varchar": "bytea",
}


def stored_type(ducklake_type: str) -> str:
    """Return the PostgreSQL type in which inlined values of a column are kept.

    What PostgreSQL has no equal type for is kept as the engine's text.
    """
    kind = ducklake_type.lower()
    if found := DECIMAL.fullmatch(kind):
        return f"numeric({found[1]},{found[2]})"
    return _STORED.get(kind, "character varying")
