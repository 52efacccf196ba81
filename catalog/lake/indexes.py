"""Adds to a lake's metadata tables the indexes that planning reads; DuckLake makes keys only."""

from __future__ import annotations

from typing import LiteralString

from django.db import connection

from catalog.lake.metadata import compose
from catalog.models import Catalog

INDEXES: tuple[LiteralString, ...] = (
    (
        "CREATE INDEX IF NOT EXISTS upend_file_column_stats ON {ducklake_file_column_stats}"
        " (table_id, column_id, data_file_id) INCLUDE (column_size_bytes, min_value, max_value)"
    ),
    (
        "CREATE INDEX IF NOT EXISTS upend_data_file ON {ducklake_data_file}"
        " (table_id, data_file_id)"
        " INCLUDE (begin_snapshot, end_snapshot, record_count, file_size_bytes, footer_size)"
    ),
    (
        "CREATE INDEX IF NOT EXISTS upend_delete_file ON {ducklake_delete_file}"
        " (table_id, data_file_id)"
    ),
    "CREATE INDEX IF NOT EXISTS upend_column ON {ducklake_column} (table_id)",
    "CREATE INDEX IF NOT EXISTS upend_table ON {ducklake_table} (lower(table_name))",
    (
        "CREATE INDEX IF NOT EXISTS upend_table_column_stats ON {ducklake_table_column_stats}"
        " (table_id)"
    ),
    "CREATE INDEX IF NOT EXISTS upend_table_stats ON {ducklake_table_stats} (table_id)",
    "CREATE INDEX IF NOT EXISTS upend_schema_versions ON {ducklake_schema_versions} (table_id)",
    "CREATE INDEX IF NOT EXISTS upend_inlined ON {ducklake_inlined_data_tables} (table_id)",
    (
        "CREATE INDEX IF NOT EXISTS upend_partition_value ON {ducklake_file_partition_value}"
        " (data_file_id)"
    ),
)


def create_indexes(catalog: Catalog) -> None:
    """Create what is missing. Safe to repeat."""
    with connection.cursor() as cursor:
        for text in INDEXES:
            cursor.execute(compose(catalog, text))
