"""What exists, as plain values: the typed shape of DuckLake 1.0 metadata at one snapshot.

Source: the DuckLake 1.0 specification, https://ducklake.select/docs/stable/specification/
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from governance.domain import Securable, SecurableColumn, SecurableKind


class AddressingStyle(StrEnum):
    """Where a bucket's name goes in a URL: into the path, or before the host."""

    PATH = "path"
    VIRTUAL = "virtual"


class AdoptionMode(StrEnum):
    """Who writes a lake that was adopted."""

    MANAGED = "managed"
    READ_ONLY = "read_only"


class AdoptionSource(StrEnum):
    """Where the metadata of a lake is kept before it is adopted."""

    DUCKDB = "duckdb"
    POSTGRESQL = "postgresql"
    SQLITE = "sqlite"


class AdoptionState(StrEnum):
    """Where an adoption stands; `checked` waits for a person to say yes."""

    ADOPTED = "adopted"
    CANCELLED = "cancelled"
    CHECKED = "checked"
    CONFIRMED = "confirmed"
    FAILED = "failed"
    QUEUED = "queued"
    READING = "reading"
    REFUSED = "refused"


class BucketKind(StrEnum):
    """Whose storage it is."""

    CUSTOMER = "customer"
    HOSTED = "hosted"


class CredentialKind(StrEnum):
    """How Upend comes by the keys of a bucket.

    `upend`: the settings of its own storage. `static`: a key that the customer made. `assume_role`:
    a role of the customer's, lent for an hour. `ambient`: the identity of Upend's own host.
    """

    AMBIENT = "ambient"
    ASSUME_ROLE = "assume_role"
    STATIC = "static"
    UPEND = "upend"


class Encryption(StrEnum):
    """What a bucket is asked to encrypt new objects with; empty leaves it to the bucket."""

    DEFAULT = ""
    KMS = "aws:kms"
    SSE_S3 = "AES256"


class ConnectorFileState(StrEnum):
    """Where one file of a bucket stands with the connector that found it.

    `alone`: it is tried by itself next, because a run of several failed.
    """

    ALONE = "alone"
    FAILED = "failed"
    TAKEN = "taken"
    TAKING = "taking"


class ConnectorKind(StrEnum):
    """What a connector reads: a table of a database, Parquet in a bucket, a SQLite file there."""

    MYSQL = "mysql"
    PARQUET = "parquet"
    POSTGRESQL = "postgresql"
    SQLITE = "sqlite"


class ConnectorMode(StrEnum):
    """What a pull does to the table: adds what is new, or puts all rows in place of all."""

    APPEND = "append"
    REPLACE = "replace"


class ConnectorRunState(StrEnum):
    """Where one pull stands."""

    FAILED = "failed"
    LOADING = "loading"
    READING = "reading"
    SUCCEEDED = "succeeded"


class JobKind(StrEnum):
    """What the single writer can be asked to do."""

    APPEND = "append"
    CHANGE_VIEW = "change_view"
    CREATE_SCHEMA = "create_schema"
    CREATE_TABLE = "create_table"
    DEFINE = "define"
    DROP_CATALOG = "drop_catalog"
    INGEST = "ingest"
    INITIALIZE = "initialize"
    MAINTAIN = "maintain"
    PREVIEW = "preview"
    REGISTER = "register"
    RESTORE_TABLE = "restore_table"
    ROLL_BACK = "roll_back"
    ROLL_BACK_CATALOG = "roll_back_catalog"
    SAMPLE_CHANGES = "sample_changes"
    STATEMENTS = "statements"


class JobState(StrEnum):
    """Where a writer job stands."""

    FAILED = "failed"
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"


class TransferState(StrEnum):
    """Where a large file on its way stands."""

    CANCELLED = "cancelled"
    EXPIRED = "expired"
    LOADING = "loading"
    OPEN = "open"
    STAGED = "staged"


class UploadFormat(StrEnum):
    """The forms a file may be uploaded in."""

    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


class UploadMode(StrEnum):
    """What an upload does: a new table, or more rows of one that is there."""

    APPEND = "append"
    CREATE = "create"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One row of `ducklake_snapshot`."""

    snapshot_id: int
    snapshot_time: datetime
    schema_version: int
    next_catalog_id: int
    next_file_id: int


@dataclass(frozen=True, slots=True)
class Column:
    """One live column of a table; nested columns name their parent.

    `column_id` is the field id: it survives renames. `ducklake_type` is the specification's
    spelling (`int32`, `decimal(12,2)`, `struct`, …), `duckdb_type` the engine's, nested included.
    """

    column_id: int
    order: int
    name: str
    ducklake_type: str
    duckdb_type: str
    nulls_allowed: bool
    parent_id: int | None = None
    initial_default: str | None = None
    default_value: str | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """One table at one snapshot. `columns` are all live ones, nested included, in order.

    `inlined_count` rows of `record_count` are in the metadata, not in files.
    """

    catalog_id: UUID
    catalog_name: str
    table_id: int
    table_uuid: UUID
    schema_name: str
    name: str
    prefix: str
    columns: tuple[Column, ...]
    record_count: int
    file_count: int
    file_size_bytes: int
    inlined_count: int = 0
    _securable_columns: tuple[SecurableColumn, ...] | None = field(
        default=None, init=False, repr=False, compare=False
    )

    @property
    def key(self) -> str:
        """Return the securable's key: stable through renames."""
        return f"table:{self.catalog_id}/{self.table_uuid}"

    @property
    def label(self) -> str:
        """Return the name people read and SQL uses."""
        return f"{self.catalog_name}.{self.schema_name}.{self.name}"

    @property
    def top_columns(self) -> tuple[Column, ...]:
        """Return the columns SQL sees, in order."""
        return tuple(c for c in self.columns if c.parent_id is None)

    def without(self, hidden: Collection[str]) -> Table:
        """Return the table as it looks to whom those top-level columns are hidden."""
        if not hidden:
            return self
        gone: set[int] = set()
        for column in self.columns:
            if column.parent_id in gone or (column.parent_id is None and column.name in hidden):
                gone.add(column.column_id)
        return replace(self, columns=tuple(c for c in self.columns if c.column_id not in gone))

    def securable(self, catalog: Securable) -> Securable:
        """Return the table as something a policy can name, below its catalog."""
        return Securable(
            SecurableKind.TABLE,
            self.key,
            self.label,
            catalog.organization_id,
            catalog.workspace_id,
            catalog,
            self.securable_columns,
        )

    @property
    def securable_columns(self) -> tuple[SecurableColumn, ...]:
        """Return the columns as policies name them, each after its parent; worked out once."""
        if self._securable_columns is None:
            object.__setattr__(self, "_securable_columns", self._named_columns())
        return self._securable_columns or ()

    def _named_columns(self) -> tuple[SecurableColumn, ...]:
        paths: dict[int | None, tuple[str, ...]] = {None: ()}
        children: dict[int | None, list[Column]] = {}
        for column in self.columns:
            children.setdefault(column.parent_id, []).append(column)
        found: list[SecurableColumn] = []
        waiting = list(reversed(children.get(None, [])))
        while waiting:
            column = waiting.pop()
            path = paths[column.column_id] = (*paths[column.parent_id], column.name)
            key = f"column:{self.catalog_id}/{self.table_uuid}/{column.column_id}"
            found.append(SecurableColumn(key, path, column.duckdb_type))
            waiting += reversed(children.get(column.column_id, []))
        return tuple(found)


@dataclass(frozen=True, slots=True)
class DataFile:
    """One live data file. `key` is the canonical object key, checked to lie under the prefix."""

    data_file_id: int
    table_id: int
    key: str
    record_count: int
    file_size_bytes: int
    footer_size: int
    begin_snapshot: int


@dataclass(frozen=True, slots=True)
class ColumnStatistics:
    """Statistics of one column in one file; `min_value`/`max_value` are text, cast by type."""

    data_file_id: int
    column_id: int
    column_size_bytes: int
    value_count: int
    null_count: int
    min_value: str | None
    max_value: str | None
    contains_nan: bool | None


@dataclass(frozen=True, slots=True)
class ColumnFilter:
    """A pushed-down conjunct of known shape on one column.

    `operator` is one of `=`, `<`, `<=`, `>`, `>=`, `in`, `is_null`, `is_not_null`; `values` are
    the constants as DuckDB text (empty for the null tests).
    """

    column: str
    operator: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PrunedFiles:
    """What is left of a table's data files after pruning, and what its columns weigh.

    `scan_bytes` is what an engine fetches: `column_size_bytes` of the asked columns and the
    footers of the files that survive, the gaps between columns that are cheaper to read than to
    skip, and the delete files. `total_bytes` is all files, all columns.
    """

    data_file_ids: tuple[int, ...]
    scan_bytes: int
    rows: int
    total_files: int
    total_bytes: int
