"""Where a connector is told to read: checked before it is kept, shown without what is secret."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from accounts import keys
from catalog.connectors.paths import SourceRefused, checked_path
from catalog.connectors.process import Source
from catalog.domain import ConnectorKind, ConnectorMode
from catalog.models import Bucket, Connector
from catalog.storage.dsn import Dsn, checked_dsn
from catalog.storage.mysql import MysqlDsn, checked_mysql
from problems import Invalid

MAX_NAME = 63
IN_BUCKETS = (ConnectorKind.PARQUET, ConnectorKind.SQLITE)
OWN_SCHEMA = {ConnectorKind.POSTGRESQL: "public", ConnectorKind.SQLITE: "main"}
TITLES = {
    ConnectorKind.MYSQL: "MySQL or MariaDB",
    ConnectorKind.PARQUET: "Parquet files",
    ConnectorKind.POSTGRESQL: "PostgreSQL",
    ConnectorKind.SQLITE: "SQLite file",
}


@dataclass(frozen=True, slots=True)
class GivenSource:
    """What somebody says of a source: a connection string and a table, or a path in a bucket."""

    kind: ConnectorKind
    dsn: str = field(default="", repr=False)
    bucket: Bucket | None = None
    path: str = ""
    schema: str = ""
    table: str = ""
    watermark_column: str = ""
    mode: ConnectorMode = ConnectorMode.APPEND


@dataclass(frozen=True, slots=True)
class CheckedSource:
    """A source that may be kept: `shown` is what may be told of it."""

    given: GivenSource
    shown: dict[str, Any]


def checked_source(given: GivenSource) -> CheckedSource:
    """Return what is kept of a source. Raises `EndpointRefused`, `SourceRefused` or `Invalid`."""
    is_file_list = given.kind is ConnectorKind.PARQUET
    if given.kind in IN_BUCKETS:
        shown = _shown_path(given)
    else:
        shown = shown_database(given.kind, given.dsn)
    if is_file_list:
        _refuse_tables(given)
        return CheckedSource(given, shown)
    schema = given.schema or OWN_SCHEMA.get(given.kind) or shown["dbname"]
    _check_names(schema, given)
    return CheckedSource(replace(given, schema=schema), shown)


def shown_database(kind: ConnectorKind, dsn: str) -> dict[str, Any]:
    """Return what may be shown of a connection string, checked. Raises `EndpointRefused`."""
    if not dsn:
        raise Invalid(
            f"A connector for {TITLES[kind]} needs a connection string.", hint="Give it as `dsn`."
        )
    checked = checked_database(kind, dsn)
    return {
        "host": checked.host,
        "port": checked.port,
        "dbname": checked.dbname,
        "user": checked.user,
        "sslmode": checked.sslmode,
    }


def checked_database(kind: ConnectorKind, dsn: str) -> Dsn | MysqlDsn:
    """Return what a connection string names, with the address found. Raises `EndpointRefused`."""
    return checked_mysql(dsn) if kind is ConnectorKind.MYSQL else checked_dsn(dsn)


def reader_of(connector: Connector) -> Source:
    """Return what the reading process needs to reach a database, checked anew.

    Raises `EndpointRefused` or `KeyUnavailable`.
    """
    dsn = keys.unseal(bytes(connector.sealed_dsn), connector.binding).decode()
    return database_reader(ConnectorKind(connector.kind), dsn)


def database_reader(kind: ConnectorKind, dsn: str) -> Source:
    """Return what the reading process needs for this connection string. Raises as it is checked."""
    checked = checked_database(kind, dsn)
    if isinstance(checked, MysqlDsn):
        return Source(kind, checked.for_reader(), (dsn, checked.password))
    return Source(kind, {"conninfo": checked.conninfo()}, (checked.conninfo(), checked.password))


def _shown_path(given: GivenSource) -> dict[str, Any]:
    if given.dsn:
        raise Invalid(
            f"{TITLES[given.kind]} are read from a bucket, without a connection string.",
            hint="Name a connected bucket and a path in it.",
        )
    if given.bucket is None:
        raise SourceRefused(
            "The bucket is missing.", hint="Connect it on the page Buckets, and name it here."
        )
    is_pattern = given.kind is ConnectorKind.PARQUET
    return {"path": checked_path(given.bucket, given.path, is_pattern=is_pattern)}


def _refuse_tables(given: GivenSource) -> None:
    if given.table or given.schema or given.watermark_column:
        raise Invalid(
            "Parquet files have no tables and need no watermark: each file is taken once.",
            hint="Leave source_schema, source_table and watermark_column out.",
        )


def _check_names(schema: str, given: GivenSource) -> None:
    for what, value in (("schema", schema), ("table", given.table)):
        if not value or len(value.encode()) > MAX_NAME or not value.isprintable():
            raise Invalid(f"{value!r} is not the name of a {what}.")
    if given.mode is ConnectorMode.APPEND and not given.watermark_column:
        raise Invalid(
            "To add what is new, name a column that only grows.",
            hint="Such as an identity or updated_at; or choose the mode replace.",
        )
    if len(given.watermark_column.encode()) > MAX_NAME:
        raise Invalid(f"{given.watermark_column!r} is not the name of a column.")
