"""Makes the indexes that planning reads (DuckLake makes keys only), and drops whole lakes."""

from __future__ import annotations

from typing import LiteralString

from django.db import connection
from psycopg import sql

from catalog.lake.metadata import compose
from catalog.models import Catalog

INDEXES: tuple[LiteralString, ...] = (
    (
        "CREATE INDEX IF NOT EXISTS upend_file_column_stats ON {ducklake_file_column_stats}"
        " (table_id, column_id, data_file_id) INCLUDE"
        " (column_size_bytes, value_count, null_count, min_value, max_value, contains_nan)"
    ),
    ("CREATE INDEX IF NOT EXISTS upend_file_stats ON {ducklake_file_column_stats} (data_file_id)"),
    (
        "CREATE INDEX IF NOT EXISTS upend_file_column_ranges ON {ducklake_file_column_stats}"
        " USING gist (public.upend_statistic_box(table_id, column_id, min_value, max_value))"
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


MARKS: LiteralString = (
    "CREATE UNIQUE INDEX IF NOT EXISTS upend_commit_marks ON {ducklake_snapshot_changes}"
    " (commit_extra_info) WHERE commit_extra_info LIKE 'upend-job:%'"
)
"""Makes the second commit of one writer job impossible, whatever was killed when."""


def create_indexes(catalog: Catalog) -> None:
    """Create what is missing. Safe to repeat."""
    with connection.cursor() as cursor:
        for text in (*INDEXES, MARKS):
            cursor.execute(compose(catalog.metadata_schema, text))


def drop(catalog: Catalog) -> None:
    """Drop the lake's metadata. Its files are the storage's business. Safe to repeat."""
    if not catalog.metadata_schema:
        return
    with connection.cursor() as cursor:
        name = sql.Identifier(catalog.metadata_schema)
        cursor.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(name))
