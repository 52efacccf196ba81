"""Step 7: the slices of a plan, made by whoever runs it from what the plan wrote down.

Only the surviving files, delete files and inlined rows of the tables in the query; tables lose
their names, so that nothing but the secured views can name them.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from accounts import keys
from accounts.composed import Composed, first
from catalog import lake, storage
from catalog.domain import Snapshot, Table
from catalog.models import Catalog
from catalog.selectors import UnknownCatalog, UnknownTable
from execution.extracts import slicing
from execution.models import Extract
from upend.slices import FILE_TABLES, FORMAT, METADATA_TABLES

STATISTICS = frozenset({"ducklake_file_column_stats", "ducklake_table_column_stats"})
PARTITIONS = frozenset(
    {"ducklake_file_partition_value", "ducklake_partition_column", "ducklake_partition_info"}
)
DELETES = "ducklake_inlined_delete_"
BOUNDS = frozenset({"min_value", "max_value", "extra_stats"})
MAIN_SCHEMA = 0
"""Every table of a slice lies in `main`: the views bear the schemas."""

FEW_FILES = 64
"""Of so few files, the statistics of all columns are cheap to carry."""

Json = dict[str, Any]


def with_every_column(record: Mapping[str, Any]) -> Json:
    """Return the record with the statistics of every shown column of tables with few files.

    The files stay the same. An engine that is kept can then answer about other columns too.
    """
    return {**record, "tables": [_with_every_column(entry) for entry in record.get("tables", [])]}


def _with_every_column(entry: Json) -> Json:
    if entry.get("files", FEW_FILES + 1) > FEW_FILES:
        return entry
    return entry | {"columns": [name for name, _ in entry["view"]["columns"]]}


@dataclass(frozen=True, slots=True)
class SliceFile:
    """One object that the slices of a query name, and the store it is in.

    `ordinal` counts across all slices of the query.
    """

    ordinal: int
    catalog_id: UUID
    table_key: str
    bucket_name: str
    key: str
    size_bytes: int
    store: storage.Store
    extract_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Built:
    """The slices of a query, one per catalog and snapshot, and the objects that they name."""

    slices: list[Json]
    files: list[SliceFile]


def build(record: Mapping[str, Any], *, locate: Callable[[SliceFile], str]) -> Built:
    """Return the slices of an `execution_record`, with the address `locate` gives each file.

    The record pins everything, so that the answer is the same however often it is asked. Raises
    `UnknownCatalog` or `UnknownTable` where what was planned has been dropped since, and
    `PathOutsidePrefix` where a lake lists a file that is not its own.
    """
    by_lake: dict[tuple[str, int, str], list[Json]] = {}
    for entry in record.get("tables", []):
        key = (entry["catalog_id"], entry["snapshot_id"], entry.get("shown_in", ""))
        by_lake.setdefault(key, []).append(entry)
    built = Built([], [])
    for (catalog_id, _, _), entries in by_lake.items():
        catalog = _catalog(UUID(catalog_id))
        store = storage.of_catalog(catalog)
        built.slices.append(_Builder(catalog, entries, built.files, locate, store).slice())
    return built


@dataclass(slots=True)
class _Builder:
    """The making of one catalog's slice at one snapshot."""

    catalog: Catalog
    entries: list[Json]
    files: list[SliceFile]
    locate: Callable[[SliceFile], str]
    store: storage.Store
    tables: dict[int, tuple[Table, Json]] = field(default_factory=dict)
    listed: list[Json] = field(default_factory=list)

    def slice(self) -> Json:
        """Return the slice in the documented shape."""
        snapshot = lake.snapshot(self.catalog, self.entries[0]["snapshot_id"])
        selections = [self.selection(e, snapshot) for e in self.entries if not e.get("extract")]
        rows = lake.slice_rows(self.catalog, snapshot, selections)
        tables = {
            name: self.rewritten(name, found)
            for name, found in rows.tables.items()
            if name in METADATA_TABLES
        }
        versions = _schema_versions(tables["ducklake_schema_versions"])
        inlined = [_deletes(n, f) for n, f in rows.tables.items() if n.startswith(DELETES)]
        inserted = [found for found in rows.inlined if found.rows]
        for found in inserted:
            version = versions.get(found.table_id, snapshot.schema_version)
            inlined.append(_inserts(found, version, snapshot))
        tables["ducklake_inlined_data_tables"] = {
            "columns": ["table_id", "table_name", "schema_version"],
            "rows": [
                [f.table_id, _inserts_name(f.table_id, v), v]
                for f in inserted
                for v in [versions.get(f.table_id, snapshot.schema_version)]
            ],
        }
        views = [
            self.add_extract(entry, snapshot, tables) if entry.get("extract") else entry["view"]
            for entry in self.entries
        ]
        if later := _later_snapshot(tables, snapshot):
            _append(tables["ducklake_snapshot"], later)
            views = [view | {"at": snapshot.snapshot_id} for view in views]
        return {
            "format": FORMAT,
            "catalog": self.entries[0].get("shown_in") or self.catalog.name,
            "snapshot_id": snapshot.snapshot_id,
            "tables": tables,
            "inlined": inlined,
            "views": views,
            "files": self.listed,
        }

    def selection(self, entry: Json, snapshot: Snapshot) -> lake.Selection:
        """Return what the plan read of one table."""
        table = self.table(entry, snapshot)
        self.tables[table.table_id] = (table, entry)
        ids = entry["data_file_ids"]
        if ids is None:
            return lake.Selection(table)
        return lake.Selection(table, None, tuple(ids), entry.get("later_file_id"))

    def table(self, entry: Json, snapshot: Snapshot) -> Table:
        """Return the table of an entry."""
        uuid = UUID(entry["table_uuid"])
        table = lake.table_by_uuid(self.catalog, snapshot.snapshot_id, uuid)
        if table is None:
            message = f"The table {entry['view']['name']!r} was dropped with its history."
            raise UnknownTable(message, hint="Plan the query again.")
        return table

    def add_extract(self, entry: Json, snapshot: Snapshot, tables: dict[str, Json]) -> Json:
        """Put the extract of an entry in its table's place, and return the view that shows it."""
        table, extract = self.table(entry, snapshot), entry["extract"]
        ordinal = self.list_object(
            SliceFile(
                ordinal=len(self.files),
                catalog_id=self.catalog.id,
                table_key=table.key,
                bucket_name=extract["bucket_name"],
                key=extract["key"],
                size_bytes=extract["size_bytes"],
                store=storage.hosted(),
                extract_id=UUID(extract["id"]),
            )
        )
        for name, row in slicing.rows_of(entry, table, snapshot, ordinal, _secret(extract)).items():
            _append(tables[name], row)
        for row in slicing.column_rows(entry, table, snapshot):
            _append(tables["ducklake_column"], row)
        return slicing.view_of(entry, table)

    def rewritten(self, name: str, found: lake.MetadataRows) -> Json:
        """Return the rows of one metadata table as the slice carries them."""
        columns = list(found.columns)
        rows = [dict(zip(columns, map(_plain, row), strict=True)) for row in found.rows]
        if name in STATISTICS:
            rows = [row for row in rows if self.is_read(row)]
        if name in PARTITIONS:
            rows = [row for row in rows if not self.is_governed(row["table_id"])]
        for row in rows:
            self.rewrite(name, row)
        return {"columns": columns, "rows": [list(row.values()) for row in rows]}

    def rewrite(self, name: str, row: Json) -> None:
        """Hide names, replace keys by ordinals, and null what a policy makes secret."""
        if name == "ducklake_table":
            hidden = self.tables[row["table_id"]][1]["view"]["table"]
            row |= {"table_name": hidden, "path": f"{hidden}/", "path_is_relative": True}
            row["schema_id"] = MAIN_SCHEMA
        if name in FILE_TABLES:
            row["path"] = self.list_file(row)
        if name in STATISTICS and self.is_governed(row["table_id"]):
            row.update(dict.fromkeys(BOUNDS & row.keys()))

    def list_file(self, row: Json) -> int:
        """List one object as a file of the slice, and return its ordinal."""
        table, _ = self.tables[row["table_id"]]
        return self.list_object(
            SliceFile(
                ordinal=len(self.files),
                catalog_id=self.catalog.id,
                table_key=table.key,
                bucket_name=self.catalog.bucket.bucket_name,
                key=row["path"],
                size_bytes=row["file_size_bytes"],
                store=self.store,
            )
        )

    def list_object(self, file: SliceFile) -> int:
        """List one object, and return its ordinal."""
        self.files.append(file)
        self.listed.append(
            {"ordinal": file.ordinal, "path": self.locate(file), "size_bytes": file.size_bytes}
        )
        return file.ordinal

    def is_read(self, row: Json) -> bool:
        """Tell whether the plan reads the column: others need no statistics."""
        table, entry = self.tables[row["table_id"]]
        wanted = set(entry["columns"])
        return row["column_id"] in _with_nested(table, wanted)

    def is_governed(self, table_id: int) -> bool:
        """Tell whether masks, row filters or hidden columns apply to the table."""
        table, entry = self.tables[table_id]
        view = entry["view"]
        is_masked = any(expression is not None for _, expression in view["columns"])
        return (
            is_masked
            or bool(view.get("row_filter"))
            or len(view["columns"]) < len(table.top_columns)
        )


def _later_snapshot(tables: Mapping[str, Json], snapshot: Snapshot) -> Json | None:
    """Return a snapshot after this one, where a file of the slice holds rows that came later.

    Merged files do. The engine leaves such rows out where it is told at which snapshot to read,
    unless that is the newest it knows: of that one it counts all rows that a file is said to have.
    """
    newest = snapshot.snapshot_id
    for name in FILE_TABLES:
        at = tables[name]["columns"].index("partial_max")
        newest = max([newest, *(row[at] for row in tables[name]["rows"] if row[at] is not None)])
    if newest == snapshot.snapshot_id:
        return None
    (row,) = tables["ducklake_snapshot"]["rows"]
    same = dict(zip(tables["ducklake_snapshot"]["columns"], row, strict=True))
    return same | {"snapshot_id": newest}


def _secret(extract: Json) -> str | None:
    """Return what opens an encrypted extract, as DuckLake spells keys."""
    if not extract.get("is_encrypted"):
        return None
    row = Extract.objects.select_related("workspace").get(id=extract["id"])
    return base64.b64encode(keys.unseal(bytes(row.sealed_secret), row.binding)).decode()


def _append(found: Json, row: Json) -> None:
    """Add a row to the rows of a metadata table."""
    found["rows"].append([row.get(column) for column in found["columns"]])


_live = Composed(
    lambda catalog: Catalog.objects.live().select_related("bucket").filter(id=catalog).order_by()
)


def _catalog(catalog_id: UUID) -> Catalog:
    catalog = first(_live.ask(catalog=catalog_id))
    if catalog is None:
        message = "A catalog of the query was dropped after it was planned."
        raise UnknownCatalog(message)
    return catalog


def _with_nested(table: Table, names: set[str]) -> set[int]:
    """Return the ids of the named columns and of all that is nested in them."""
    found: set[int] = set()
    for column in table.columns:
        if column.name in names if column.parent_id is None else column.parent_id in found:
            found.add(column.column_id)
    return found


def _schema_versions(rows: Json) -> dict[int, int]:
    """Return the newest schema version of each table."""
    found: dict[int, int] = {}
    for row in rows["rows"]:
        named = dict(zip(rows["columns"], row, strict=True))
        table_id, version = named["table_id"], named["schema_version"]
        found[table_id] = max(found.get(table_id, 0), version)
    return found


def _deletes(name: str, found: lake.MetadataRows) -> Json:
    """Return the inlined deletions of one table: whole numbers, as text."""
    return {
        "name": name,
        "columns": [[column, "BIGINT"] for column in found.columns],
        "rows": [[str(value) for value in row] for row in found.rows],
    }


def _inserts(found: lake.InlinedRows, version: int, snapshot: Snapshot) -> Json:
    """Return the inlined rows of one table, all of its newest schema version."""
    system = [["row_id", "BIGINT"], ["begin_snapshot", "BIGINT"], ["end_snapshot", "BIGINT"]]
    pairs: Sequence[tuple[int, tuple[str | None, ...]]] = list(
        zip(found.row_ids, found.rows, strict=True)
    )
    return {
        "name": _inserts_name(found.table_id, version),
        "columns": [*system, *([name, kind] for name, kind in found.columns)],
        "rows": [[str(row_id), str(snapshot.snapshot_id), None, *row] for row_id, row in pairs],
    }


def _inserts_name(table_id: int, version: int) -> str:
    return f"ducklake_inlined_data_{table_id}_{version}"


def _plain(value: Any) -> Any:
    """Return a metadata value as JSON has it; the engine casts it back from text."""
    return value.isoformat(sep=" ") if isinstance(value, datetime) else value
