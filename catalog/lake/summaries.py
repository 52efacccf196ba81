"""What DuckLake knows of each column of a table without reading data: bounds, nulls, bytes."""

from __future__ import annotations

from dataclasses import dataclass

from catalog.domain import Table
from catalog.lake import facts
from catalog.lake.metadata import live_as, rows
from catalog.models import Catalog


@dataclass(frozen=True, slots=True)
class ColumnSummary:
    """One column over all live data files; None is "not known", never "none".

    Bounds are the table's (`ducklake_table_column_stats`): they hold for every snapshot but may
    be wider than the data. They are values of the table, to be shown only to who may query it.
    """

    nulls: int | None = None
    size_bytes: int | None = None
    minimum: str | None = None
    maximum: str | None = None


def column_summaries(catalog: Catalog, table: Table, snapshot_id: int) -> dict[int, ColumnSummary]:
    """Return the summaries of a table's columns by column id: one query, then remembered."""
    key = ("column_summaries", table.table_id, snapshot_id)
    return facts.of(catalog, key, lambda: _summarized(catalog, table, snapshot_id))


def _summarized(catalog: Catalog, table: Table, snapshot_id: int) -> dict[int, ColumnSummary]:
    found = rows(
        catalog,
        "SELECT coalesce(f.column_id, t.column_id), f.nulls, f.bytes, t.min_value, t.max_value"
        " FROM (SELECT s.column_id, sum(s.null_count)::bigint AS nulls,"
        "  sum(s.column_size_bytes)::bigint AS bytes"
        "  FROM {ducklake_file_column_stats} s JOIN {ducklake_data_file} d"
        "  ON d.data_file_id = s.data_file_id AND d.table_id = s.table_id"
        "  WHERE s.table_id = %(table)s AND {live_file} GROUP BY s.column_id) f"
        " FULL JOIN (SELECT column_id, min_value, max_value FROM {ducklake_table_column_stats}"
        "  WHERE table_id = %(table)s) t USING (column_id)",
        {"snapshot": snapshot_id, "table": table.table_id},
        live_file=live_as("d"),
    )
    return {row[0]: ColumnSummary(*row[1:]) for row in found}
