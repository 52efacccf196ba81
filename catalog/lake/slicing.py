"""Reads the metadata rows of a slice: only the tables, files and columns that were granted.

A slice is built fresh from what is named here, never copied and trimmed: other tables, older
snapshots, commit messages, views and macros do not exist in it. The keys of an encrypted lake are
those of its files: what names a file names its key, and no other.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass, field
from functools import lru_cache
from typing import Any, LiteralString

from psycopg import sql

from catalog.domain import Column, Snapshot, Table
from catalog.lake.inlined import InlinedRows, deletes_table, inlined_rows
from catalog.lake.metadata import Row, compose, flat, live_as, relation, rows
from catalog.lake.paths import LakePath, key_of, root
from catalog.lake.upkeep import undisturbed
from catalog.models import Catalog


@dataclass(frozen=True, slots=True)
class Selection:
    """One table of a slice: all its columns or some, all its live files or some.

    Files from `later_file_id` on are selected besides `data_file_ids`: upkeep may have put those
    into new ones since they were chosen.
    """

    table: Table
    columns: frozenset[str] | None = None
    data_file_ids: tuple[int, ...] | None = None
    later_file_id: int | None = None

    @property
    def selected_columns(self) -> tuple[Column, ...]:
        """Return the selected columns with everything nested in them."""
        if self.columns is None:
            return self.table.columns
        names = {name.lower() for name in self.columns}
        found: dict[int, Column] = {}
        for column in self.table.columns:
            is_asked = column.parent_id is None and column.name.lower() in names
            if is_asked or column.parent_id in found:
                found[column.column_id] = column
        return tuple(found.values())


@dataclass(frozen=True, slots=True)
class MetadataRows:
    """Rows of one metadata table, with the names of their columns."""

    columns: tuple[str, ...]
    rows: list[Row] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class SliceRows:
    """Everything a slice of one catalog needs, by metadata table.

    In `ducklake_data_file` and `ducklake_delete_file`, `path` is the canonical object key and
    `path_is_relative` is false; `encryption_key` opens that file. `ducklake_inlined_delete_<t>`
    tables are among `tables`; inlined inserts are in `inlined`, as text. Identifiers are text.
    """

    snapshot: Snapshot
    tables: dict[str, MetadataRows]
    inlined: tuple[InlinedRows, ...]


COLUMNS: dict[str, LiteralString] = {
    "ducklake_column": "column_id, begin_snapshot, end_snapshot, table_id, column_order,"
    " column_name, column_type, initial_default, default_value, nulls_allowed, parent_column,"
    " default_value_type, default_value_dialect",
    "ducklake_column_mapping": "mapping_id, table_id, type",
    "ducklake_data_file": "data_file_id, table_id, begin_snapshot, end_snapshot, file_order, path,"
    " path_is_relative, file_format, record_count, file_size_bytes, footer_size, row_id_start,"
    " partition_id, encryption_key, mapping_id, partial_max",
    "ducklake_delete_file": "delete_file_id, table_id, begin_snapshot, end_snapshot, data_file_id,"
    " path, path_is_relative, format, delete_count, file_size_bytes, footer_size, encryption_key,"
    " partial_max",
    "ducklake_file_column_stats": "data_file_id, table_id, column_id, column_size_bytes,"
    " value_count, null_count, min_value, max_value, contains_nan, extra_stats",
    "ducklake_file_partition_value": "data_file_id, table_id, partition_key_index, partition_value",
    "ducklake_name_mapping": "mapping_id, column_id, source_name, target_field_id, parent_column,"
    " is_partition",
    "ducklake_partition_column": (
        "partition_id, table_id, partition_key_index, column_id, transform"
    ),
    "ducklake_partition_info": "partition_id, table_id, begin_snapshot, end_snapshot",
    "ducklake_schema": "schema_id, schema_uuid, begin_snapshot, end_snapshot, schema_name, path,"
    " path_is_relative",
    "ducklake_schema_versions": "begin_snapshot, schema_version, table_id",
    "ducklake_snapshot": "snapshot_id, snapshot_time, schema_version, next_catalog_id,"
    " next_file_id",
    "ducklake_sort_info": "sort_id, table_id, begin_snapshot, end_snapshot",
    "ducklake_table": "table_id, table_uuid, begin_snapshot, end_snapshot, schema_id, table_name,"
    " path, path_is_relative",
    "ducklake_table_column_stats": "table_id, column_id, contains_null, contains_nan, min_value,"
    " max_value, extra_stats",
    "ducklake_table_stats": "table_id, record_count, next_row_id, file_size_bytes",
}
"""The columns of each metadata table, in the specification's order."""

NAMES = {name: tuple(c.strip() for c in text.split(",")) for name, text in COLUMNS.items()}

OF_TABLES: LiteralString = "x.table_id = ANY(%(tables)s)"
OF_COLUMNS: LiteralString = (
    "(x.table_id, x.column_id) IN"
    " (SELECT * FROM unnest(%(column_tables)s::bigint[], %(column_ids)s::bigint[]))"
)
OF_FILES: LiteralString = (
    "x.table_id = ANY(%(tables)s) AND x.data_file_id = ANY(ARRAY(SELECT data_file_id FROM files))"
)
OF_MAPPINGS: LiteralString = "x.mapping_id = ANY(ARRAY(SELECT mapping_id FROM files))"
OF_PARTITIONS: LiteralString = (
    "x.partition_id IN (SELECT partition_id FROM {ducklake_partition_info} p"
    " WHERE p.table_id = ANY(%(tables)s) AND {live_p})"
)
CONDITIONS: dict[str, LiteralString] = {
    "ducklake_column": OF_COLUMNS + " AND {live_x}",
    "ducklake_column_mapping": OF_TABLES + " AND " + OF_MAPPINGS,
    "ducklake_delete_file": OF_FILES + " AND {live_x}",
    "ducklake_file_column_stats": OF_COLUMNS + " AND " + OF_FILES,
    "ducklake_file_partition_value": OF_FILES,
    "ducklake_name_mapping": OF_MAPPINGS,
    "ducklake_partition_column": OF_PARTITIONS,
    "ducklake_partition_info": OF_TABLES + " AND {live_x}",
    "ducklake_schema": "{live_x} AND x.schema_id IN (SELECT schema_id FROM {ducklake_table} t"
    " WHERE t.table_id = ANY(%(tables)s) AND {live_t})",
    "ducklake_schema_versions": OF_TABLES + " AND x.begin_snapshot <= %(snapshot)s",
    "ducklake_table": OF_TABLES + " AND {live_x}",
    "ducklake_table_column_stats": OF_COLUMNS,
    "ducklake_table_stats": OF_TABLES,
}
"""Which rows of each metadata table belong to a slice, once its data files are known."""

LIVE_FILES: LiteralString = (
    "WITH files AS MATERIALIZED (SELECT {columns} FROM {ducklake_data_file} x"
    " WHERE x.table_id = ANY(%(tables)s) AND {live_x} AND (x.table_id = ANY(%(whole)s)"
    " OR x.data_file_id = ANY(%(some)s)"
    " OR EXISTS (SELECT 1 FROM unnest(%(later_tables)s::bigint[], %(later)s::bigint[])"
    "  AS later(t, first) WHERE x.table_id = later.t AND x.data_file_id >= later.first)))"
    " SELECT 'ducklake_data_file', json_build_array({columns})::text FROM files x"
)
"""The live data files: all of a table, or the selected ones."""

OTHERS: LiteralString = (
    " UNION ALL SELECT {name}, json_build_array({columns})::text FROM {source} x WHERE {condition}"
)
DELETES: LiteralString = (
    " UNION ALL SELECT 'inlined deletes', json_build_array(c.relname)::text FROM pg_class c"
    " JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE n.nspname = {lake} AND c.relname = ANY(%(deletes)s)"
)


def slice_rows(catalog: Catalog, snapshot: Snapshot, selections: Sequence[Selection]) -> SliceRows:
    """Return the metadata rows of a slice, live at `snapshot`, of the selected tables only.

    Statistics are those of the selected columns in the selected files. Raises
    `PathOutsidePrefix` where the lake lists a file that is not its own.
    """
    return undisturbed(catalog, lambda: _slice_rows(catalog, snapshot, selections))


def _slice_rows(catalog: Catalog, snapshot: Snapshot, selections: Sequence[Selection]) -> SliceRows:
    parameters = _parameters(snapshot, selections)
    found = {name: MetadataRows(columns) for name, columns in NAMES.items()}
    found["ducklake_snapshot"].rows.append(astuple(snapshot))
    deletes = []
    for name, row in rows(catalog, _statement(catalog.metadata_schema), parameters):
        values = tuple(json.loads(row))
        if name in found:
            found[name].rows.append(values)
        else:
            deletes.append(values[0])
    prefixes = {s.table.table_id: s.table.prefix for s in selections}
    for name in ("ducklake_data_file", "ducklake_delete_file"):
        found[name] = _canonical(catalog, found[name], prefixes)
    files = [row[0] for row in found["ducklake_data_file"].rows]
    for name in deletes:
        found[name] = _inlined_deletes(catalog, name, parameters | {"files": files})
    return SliceRows(snapshot, found, _inlined(catalog, snapshot, selections))


@lru_cache(maxsize=512)
def _statement(schema: str) -> sql.Composable:
    """Return the one statement that reads all rows of a slice: each with its table, as JSON.

    Sixteen statements were sixteen round trips, and their composing cost more than their answers.
    """
    parts = {name: live_as(name[-1]) for name in ("live_x", "live_t", "live_p")}
    columns = {name: sql.SQL(text) for name, text in COLUMNS.items()}
    files = columns["ducklake_data_file"]
    texts = [compose(schema, LIVE_FILES, columns=files, **parts)]
    texts += [
        compose(
            schema,
            OTHERS,
            name=sql.Literal(name),
            columns=columns[name],
            source=relation(schema, name),
            condition=compose(schema, condition, **parts),
        )
        for name, condition in CONDITIONS.items()
    ]
    texts.append(compose(schema, DELETES, lake=sql.Literal(schema)))
    return flat(sql.SQL("").join(texts))


def _parameters(snapshot: Snapshot, selections: Sequence[Selection]) -> dict[str, Any]:
    pairs = [
        (selection.table.table_id, column.column_id)
        for selection in selections
        for column in selection.selected_columns
    ]
    later = [s for s in selections if s.later_file_id is not None]
    return {
        "snapshot": snapshot.snapshot_id,
        "tables": [s.table.table_id for s in selections],
        "column_tables": [table_id for table_id, _ in pairs],
        "column_ids": [column_id for _, column_id in pairs],
        "whole": [s.table.table_id for s in selections if s.data_file_ids is None],
        "some": [i for s in selections for i in s.data_file_ids or ()],
        "later_tables": [s.table.table_id for s in later],
        "later": [s.later_file_id for s in later],
        "deletes": [deletes_table(s.table.table_id) for s in selections],
    }


def _canonical(catalog: Catalog, found: MetadataRows, prefixes: dict[int, str]) -> MetadataRows:
    """Replace stored paths by canonical object keys."""
    path, relative, table = (
        found.columns.index(name) for name in ("path", "path_is_relative", "table_id")
    )
    bucket = root(catalog).removesuffix(catalog.prefix)
    changed = []
    for row in found.rows:
        values = list(row)
        parent = bucket + prefixes[values[table]]
        values[path] = key_of(catalog, LakePath(values[path], values[relative]).below(parent))
        values[relative] = False
        changed.append(tuple(values))
    return MetadataRows(found.columns, changed)


def _inlined_deletes(catalog: Catalog, name: str, parameters: dict[str, Any]) -> MetadataRows:
    found = rows(
        catalog,
        "SELECT file_id, row_id, begin_snapshot FROM {deletes}"
        " WHERE file_id = ANY(%(files)s) AND begin_snapshot <= %(snapshot)s",
        parameters,
        deletes=relation(catalog.metadata_schema, name),
    )
    return MetadataRows(("file_id", "row_id", "begin_snapshot"), found)


def _inlined(
    catalog: Catalog, snapshot: Snapshot, selections: Sequence[Selection]
) -> tuple[InlinedRows, ...]:
    return tuple(
        inlined_rows(
            catalog,
            snapshot.snapshot_id,
            selection.table,
            frozenset(c.column_id for c in selection.selected_columns),
        )
        for selection in selections
    )
