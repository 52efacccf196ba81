"""Grows a table to any number of data files by writing DuckLake metadata rows, without data.

Planning and manifests read metadata only, so their cost can be measured at 100,000 files
without storing 100,000 files. The shape: 20 columns, one day per file in order of `day`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import sql

if TYPE_CHECKING:
    from django.db.backends.utils import CursorWrapper

COLUMNS = 20
ROWS_PER_FILE = 1_000_000
BYTES_PER_COLUMN = 400_000

CREATE = ", ".join(
    ["day DATE", "id BIGINT", "amount DECIMAL(12,2)", "name VARCHAR"]
    + [f"c{n} BIGINT" for n in range(4, COLUMNS)]
)

DATA_FILES = """
INSERT INTO {schema}.ducklake_data_file
    (data_file_id, table_id, begin_snapshot, path, path_is_relative, file_format, record_count,
     file_size_bytes, footer_size, row_id_start)
SELECT %(first)s + n, %(table)s, %(snapshot)s, 'synthetic-' || n || '.parquet', true, 'parquet',
       %(rows)s, %(columns)s * %(bytes)s + 4000, 4000, n * %(rows)s::bigint
FROM generate_series(0, %(files)s - 1) AS n
"""

STATISTICS = """
INSERT INTO {schema}.ducklake_file_column_stats
    (data_file_id, table_id, column_id, column_size_bytes, value_count, null_count,
     min_value, max_value, contains_nan)
SELECT %(first)s + n, %(table)s, c.column_id, %(bytes)s, %(rows)s, 0,
       CASE c.column_name WHEN 'day' THEN (date '1900-01-01' + n)::text
                          WHEN 'amount' THEN '0.00' WHEN 'name' THEN 'a'
                          ELSE (n * %(rows)s::bigint)::text END,
       CASE c.column_name WHEN 'day' THEN (date '1900-01-01' + n)::text
                          WHEN 'amount' THEN '99999.99' WHEN 'name' THEN 'zz'
                          ELSE ((n + 1) * %(rows)s::bigint - 1)::text END,
       false
FROM generate_series(0, %(files)s - 1) AS n
CROSS JOIN {schema}.ducklake_column AS c
WHERE c.table_id = %(table)s AND c.end_snapshot IS NULL
"""

TOTALS = """
INSERT INTO {schema}.ducklake_table_stats (table_id, record_count, next_row_id, file_size_bytes)
VALUES (%(table)s, %(files)s * %(rows)s::bigint, %(files)s * %(rows)s::bigint,
        %(files)s * %(columns)s::bigint * %(bytes)s)
"""


def fill(cursor: CursorWrapper, *, schema: str, table: str, files: int) -> None:
    """Give the empty `table` of the lake in `schema` this many data files."""
    name = sql.Identifier(schema)
    cursor.execute(
        sql.SQL(
            "SELECT table_id FROM {}.ducklake_table WHERE table_name = %s AND end_snapshot IS NULL"
        ).format(name),
        [table],
    )
    (table_id,) = cursor.fetchone()
    cursor.execute(
        sql.SQL("SELECT max(snapshot_id), max(next_file_id) FROM {}.ducklake_snapshot").format(name)
    )
    snapshot, first = cursor.fetchone()
    values = {
        "table": table_id,
        "snapshot": snapshot,
        "first": first,
        "files": files,
        "rows": ROWS_PER_FILE,
        "bytes": BYTES_PER_COLUMN,
        "columns": COLUMNS,
    }
    for statement in (DATA_FILES, STATISTICS, TOTALS):
        cursor.execute(sql.SQL(statement).format(schema=name), values)
    cursor.execute(
        sql.SQL("UPDATE {}.ducklake_snapshot SET next_file_id = %s WHERE snapshot_id = %s").format(
            name
        ),
        [first + files, snapshot],
    )
    for metadata in ("ducklake_data_file", "ducklake_file_column_stats"):
        cursor.execute(sql.SQL("ANALYZE {}.{}").format(name, sql.Identifier(metadata)))
