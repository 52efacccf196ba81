"""Tables as the lake's reader yields them, made from a list of columns: for what needs no lake."""

from __future__ import annotations

from uuid import UUID

from catalog.domain import Column, Table
from execution.bind import HiddenTable

CATALOG = UUID(int=7)
NESTED = {"STRUCT(a INTEGER, b VARCHAR)": "struct", "INTEGER[]": "list"}
DUCKLAKE_TYPES = {
    "BIGINT": "int64", "BOOLEAN": "boolean", "DATE": "date", "DECIMAL(12,2)": "decimal(12,2)",
    "DECIMAL(38,2)": "decimal(38,2)", "DOUBLE": "float64", "FLOAT": "float32",
    "HUGEINT": "int128", "INTEGER": "int32", "TIME": "time", "TIMESTAMP": "timestamp",
    "TIMESTAMPTZ": "timestamptz", "UUID": "uuid", "VARCHAR": "varchar", "BLOB": "blob",
    "INTERVAL": "interval",
}  # fmt: skip


def table(
    name: str,
    columns: dict[str, str],
    *,
    table_id: int = 1,
    catalog: str = "lake",
    schema: str = "main",
    rows: int = 100_000,
) -> Table:
    """Return a table of `rows` rows with these columns, by DuckDB type."""
    found: list[Column] = []
    for column, kind in columns.items():
        _add(found, column, kind, None)
    return Table(
        catalog_id=UUID(int=sum(catalog.encode())),
        catalog_name=catalog,
        table_id=table_id,
        table_uuid=UUID(int=table_id),
        schema_name=schema,
        name=name,
        prefix=f"{catalog}/{schema}/{name}/",
        columns=tuple(found),
        record_count=rows,
        file_count=10,
        file_size_bytes=rows * 10,
    )


def hidden(*tables: Table) -> list[HiddenTable]:
    """Return the tables under their hidden names."""
    return [HiddenTable(f"t{n}", one) for n, one in enumerate(tables, start=1)]


def _add(found: list[Column], name: str, kind: str, parent: int | None) -> None:
    number = len(found) + 1
    ducklake = NESTED.get(kind) or DUCKLAKE_TYPES[kind]
    found.append(Column(number, number, name, ducklake, kind, True, parent))
    children = {"struct": {"a": "INTEGER", "b": "VARCHAR"}, "list": {"element": "INTEGER"}}
    for child, child_kind in children.get(ducklake, {}).items():
        _add(found, child, child_kind, number)
