"""Reads which tables there are at a snapshot, their columns, and how big they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, LiteralString
from uuid import UUID

from psycopg import sql

from catalog.domain import Column, Table
from catalog.lake import facts, inlined
from catalog.lake.columns import columns_of
from catalog.lake.metadata import Row, live_as, rows
from catalog.lake.paths import LakePath, prefix_of, root
from catalog.lake.search import EVERYTHING, Search
from catalog.models import Catalog

SIZES: LiteralString = (
    "SELECT coalesce(f.table_id, i.table_id),"
    " coalesce(f.records, 0) - coalesce(d.deleted, 0)"
    "  + greatest(0, coalesce(i.record_count, 0) - coalesce(f.records, 0)),"
    " coalesce(f.files, 0), coalesce(f.bytes, 0)"
    " FROM (SELECT table_id, sum(record_count)::bigint AS records, count(*) AS files,"
    "  sum(file_size_bytes)::bigint AS bytes FROM {ducklake_data_file} WHERE {live}"
    "  AND {chosen} GROUP BY table_id) f"
    " FULL JOIN (SELECT s.table_id, s.record_count FROM {ducklake_table_stats} s"
    "  WHERE %(inlined)s AND {chosen} AND EXISTS (SELECT 1 FROM"
    "  {ducklake_inlined_data_tables} n WHERE n.table_id = s.table_id)) i USING (table_id)"
    " LEFT JOIN (SELECT table_id, sum(delete_count)::bigint AS deleted"
    "  FROM {ducklake_delete_file} WHERE {live}"
    "  AND {chosen} AND data_file_id IN (SELECT data_file_id"  # ended files keep their delete files
    "   FROM {ducklake_data_file} WHERE {live} AND {chosen}) GROUP BY table_id) d"
    "  ON d.table_id = f.table_id"
)
"""A table's rows, files and bytes. Rows are minus what delete files delete, and with an estimate of
what is inlined."""

MANY_FILES = 1000
"""With more files, a table's size is remembered until the next commit: others are soon counted."""

_Sizes = dict[int, tuple[int, int, int]]
"""Rows, files and bytes by table id."""


def schemas(catalog: Catalog, snapshot_id: int) -> list[str]:
    """Return the names of the live schemas, sorted."""
    found = rows(
        catalog,
        "SELECT schema_name FROM {ducklake_schema} WHERE {live} ORDER BY 1",
        {"snapshot": snapshot_id},
    )
    return [name for (name,) in found]


def tables(catalog: Catalog, snapshot_id: int, *, with_columns: bool = True) -> list[Table]:
    """Return every live table, sorted by schema and name, in a constant number of queries.

    Row counts are estimates where rows are inlined or deleted; `table` counts exactly. Leave
    the columns out for lists: ten thousand tables have two hundred thousand of them.
    """
    return page(catalog, snapshot_id, with_columns=with_columns)


@dataclass(frozen=True, slots=True)
class Choice:
    """Some of a lake's tables, by uuid or by `schema.name` in lower case."""

    uuids: frozenset[UUID] = frozenset()
    names: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.uuids or self.names)


def chosen(
    catalog: Catalog, only: Choice | None, without: frozenset[UUID], search: Search
) -> tuple[sql.Composable, dict[str, Any]]:
    """Return the condition that tables `t` of schemas `s` are asked for, and its values."""
    condition = sql.SQL(
        "(%(all)s OR t.table_uuid = ANY(%(uuids)s)"
        " OR lower(s.schema_name || '.' || t.table_name) = ANY(%(names)s))"
        " AND (%(none)s OR t.table_uuid <> ALL(%(without)s)) AND {search}"
    ).format(search=search.condition(catalog))
    choice = only or Choice()
    parameters = {
        "all": only is None,
        "uuids": list(choice.uuids),
        "names": list(choice.names),
        "none": not without,
        "without": list(without),
    }
    return condition, parameters | search.parameters(catalog)


def page(
    catalog: Catalog,
    snapshot_id: int,
    *,
    only: Choice | None = None,
    without: frozenset[UUID] = frozenset(),
    after: tuple[str, str] | None = None,
    limit: int | None = None,
    search: Search = EVERYTHING,
    with_columns: bool = False,
    with_sizes: bool = True,
) -> list[Table]:
    """Return live tables, sorted by schema and name, in a constant number of queries.

    Of those in `only`, or all but those in `without`, and that fit `search`: at most `limit`, from
    the one that follows the schema and name in `after`. What is read does not grow with the tables
    that are left out.
    """
    schema, name = after or ("", "")
    condition, parameters = chosen(catalog, only, without, search)
    parameters |= {"first": after is None, "schema": schema, "name": name, "limit": limit}
    following = sql.SQL("(%(first)s OR (s.schema_name, t.table_name) > (%(schema)s, %(name)s))")
    condition = sql.SQL(" AND ").join([condition, following])
    found = _headers(catalog, snapshot_id, condition, parameters)
    ids = None if limit is None and only is None else [row[0] for row in found]
    sizes = _remembered_sizes(catalog, snapshot_id, found, ids) if with_sizes and found else {}
    columns = columns_of(catalog, snapshot_id, ids) if with_columns else {}
    return [_table(catalog, row, columns.get(row[0], ()), sizes.get(row[0])) for row in found]


def table(catalog: Catalog, snapshot_id: int, schema: str, name: str) -> Table | None:
    """Return one table by name, compared without case; None where there is none."""
    condition = sql.SQL(
        "lower(t.table_name) = lower(%(name)s) AND lower(s.schema_name) = lower(%(schema)s)"
    )
    return _one(catalog, snapshot_id, condition, {"name": name, "schema": schema})


def table_by_uuid(catalog: Catalog, snapshot_id: int, table_uuid: UUID) -> Table | None:
    """Return one table by its stable id; None where it is not live at the snapshot."""
    return _one(catalog, snapshot_id, sql.SQL("t.table_uuid = %(uuid)s"), {"uuid": table_uuid})


def _one(
    catalog: Catalog, snapshot_id: int, condition: sql.SQL, parameters: dict[str, Any]
) -> Table | None:
    """Return the table that a condition names; it is a fact, whole, of its snapshot."""

    def read() -> Table | None:
        found = _headers(catalog, snapshot_id, condition, parameters)
        return _whole(catalog, snapshot_id, found[0]) if found else None

    place = (catalog.id, catalog.name, catalog.prefix)
    return facts.of(catalog, ("table", *place, snapshot_id, *parameters.items()), read)


def _headers(
    catalog: Catalog, snapshot_id: int, condition: sql.Composable, parameters: dict[str, Any]
) -> list[Row]:
    return rows(
        catalog,
        "SELECT t.table_id, t.table_uuid, s.schema_name, t.table_name,"
        " s.path, s.path_is_relative, t.path, t.path_is_relative,"
        " (SELECT max(snapshot_id) FROM {ducklake_snapshot}) AS newest"
        " FROM {ducklake_table} t JOIN {ducklake_schema} s USING (schema_id)"
        " WHERE {live_table} AND {live_schema} AND ({condition})"
        " ORDER BY s.schema_name, t.table_name LIMIT %(limit)s",
        {"snapshot": snapshot_id, "limit": None} | parameters,
        live_table=live_as("t"),
        live_schema=live_as("s"),
        condition=condition,
    )


def _remembered_sizes(
    catalog: Catalog, snapshot_id: int, headers: Sequence[Row], ids: Sequence[int] | None
) -> _Sizes:
    """Return the sizes of tables; large ones are counted once for each commit."""
    if ids is None:
        return _sizes(catalog, snapshot_id)
    known: _Sizes = facts.of(catalog, ("large tables", snapshot_id), dict, at=headers[0][-1])
    sizes = {number: known[number] for number in ids if number in known}
    if unknown := [number for number in ids if number not in sizes]:
        counted = _sizes(catalog, snapshot_id, unknown)
        known.update((number, size) for number, size in counted.items() if size[1] > MANY_FILES)
        sizes |= counted
    return sizes


def _sizes(
    catalog: Catalog,
    snapshot_id: int,
    table_ids: Sequence[int] | None = None,
    *,
    with_inlined: bool = True,
) -> _Sizes:
    """Return (rows, files, bytes) by table id, of all where none are given.

    Rows are minus what delete files delete, and with an estimate of what is inlined.
    """
    found = rows(
        catalog,
        SIZES,
        {"snapshot": snapshot_id, "tables": table_ids, "inlined": with_inlined},
        chosen=sql.SQL("(%(tables)s::bigint[] IS NULL OR table_id = ANY(%(tables)s))"),
    )
    return {row[0]: (row[1], row[2], row[3]) for row in found}


def _whole(catalog: Catalog, snapshot_id: int, header: Row) -> Table:
    """Return one table with its columns and exact counts."""
    table_id: int = header[0]
    columns = columns_of(catalog, snapshot_id, [table_id]).get(table_id, ())
    sizes = facts.of(
        catalog,
        ("sizes", table_id, snapshot_id),
        lambda: _sizes(catalog, snapshot_id, [table_id], with_inlined=False),
    )
    records, files, size = sizes.get(table_id, (0, 0, 0))
    inserted, deleted = inlined.counts(catalog, snapshot_id, table_id)
    found = _table(catalog, header, columns, (records - deleted + inserted, files, size))
    return replace(found, inlined_count=inserted)


def _table(
    catalog: Catalog,
    header: Row,
    columns: tuple[Column, ...],
    size: tuple[int, int, int] | None,
) -> Table:
    table_id, table_uuid, schema_name, name, *path = header[:8]
    records, files, size_bytes = size or (0, 0, 0)
    schema_url = LakePath(path[0], path[1]).below(root(catalog))
    return Table(
        catalog_id=catalog.id,
        catalog_name=catalog.name,
        table_id=table_id,
        table_uuid=table_uuid,
        schema_name=schema_name,
        name=name,
        prefix=prefix_of(catalog, LakePath(path[2], path[3]).below(schema_url)),
        columns=columns,
        record_count=max(records, 0),
        file_count=files,
        file_size_bytes=size_bytes,
    )
