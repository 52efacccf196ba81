"""A table's definition as plain values, on which changes are tried before anything is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from catalog.lake.types import quoted
from problems import Invalid

MAX_NAME_BYTES = 63
"""PostgreSQL cuts longer names, and inlined rows are kept under their columns' names there."""

RESERVED = frozenset(
    {"begin_snapshot", "end_snapshot", "row_id", "rowid", "snapshot_id", "filename"}
)
"""Names that DuckLake gives to columns of its own."""


class InvalidChange(Invalid):
    """The change does not fit the table as it is; nothing was changed."""

    code = "invalid-change"
    title = "The change cannot be made"


class Transform(StrEnum):
    """How a partition key is made of a column."""

    BUCKET = "bucket"
    DAY = "day"
    HOUR = "hour"
    IDENTITY = "identity"
    MONTH = "month"
    YEAR = "year"


@dataclass(frozen=True, slots=True)
class PartitionKey:
    """One key by which new data is split into files; `buckets` is for the transform bucket."""

    column: str
    transform: Transform = Transform.IDENTITY
    buckets: int = 0

    @property
    def sql(self) -> str:
        """Return the key as DuckLake spells it."""
        match self.transform:
            case Transform.IDENTITY:
                return quoted(self.column)
            case Transform.BUCKET:
                return f"bucket({self.buckets}, {quoted(self.column)})"
            case _:
                return f"{self.transform}({quoted(self.column)})"

    @property
    def shown(self) -> str:
        """Return the key as people read it."""
        return self.sql.replace('"', "")


@dataclass(frozen=True, slots=True)
class SortKey:
    """One column by which new files are sorted."""

    column: str
    descending: bool = False

    @property
    def sql(self) -> str:
        """Return the key as DuckLake spells it."""
        return f"{quoted(self.column)} {'DESC' if self.descending else 'ASC'} NULLS LAST"

    @property
    def shown(self) -> str:
        """Return the key as people read it."""
        return f"{self.column}{' descending' if self.descending else ''}"


@dataclass(frozen=True, slots=True)
class ColumnLayout:
    """One top-level column. `field_id` is None while it is only planned."""

    name: str
    type: str
    nulls_allowed: bool = True
    default: str | None = None
    comment: str = ""
    field_id: int | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """A table's definition. `schema_version` grows with every change of it."""

    schema: str
    table: str
    columns: tuple[ColumnLayout, ...]
    comment: str = ""
    partition_by: tuple[PartitionKey, ...] = ()
    sort_by: tuple[SortKey, ...] = ()
    schema_version: int = 0
    hidden: frozenset[str] = field(default=frozenset())
    """Names, in lower case, of columns that the asker may not know of, but cannot give again."""

    @property
    def by_name(self) -> Mapping[str, ColumnLayout]:
        """Return the columns by their names in lower case."""
        return {column.name.lower(): column for column in self.columns}

    def column(self, name: str) -> ColumnLayout:
        """Return a column by name, compared without case. Raises `InvalidChange`."""
        found = self.by_name.get(name.lower())
        if found is None:
            nested = " Only whole columns can be changed, not fields." if "." in name else ""
            known = ", ".join(column.name for column in self.columns)
            raise InvalidChange(
                f"{self.schema}.{self.table} has no column {name[:80]!r}.{nested}",
                hint=f"Its columns are {known[:300]}.",
            )
        return found

    def check_new_name(self, name: str) -> None:
        """Raise `InvalidChange` unless another column may be called so."""
        if not name.strip() or not name.isprintable() or len(name.encode()) > MAX_NAME_BYTES:
            raise InvalidChange(
                f"{name[:80]!r} cannot be a column's name.",
                hint=f"Names have 1 to {MAX_NAME_BYTES} bytes of printable text.",
            )
        lowered = name.lower()
        if lowered in RESERVED or lowered.startswith(("_ducklake", "ducklake_")):
            raise InvalidChange(f"{name!r} is a name that DuckLake uses.", hint="Choose another.")
        if lowered in self.by_name or lowered in self.hidden:
            raise InvalidChange(
                f"{self.schema}.{self.table} has a column {name!r} already.",
                hint="Choose another name.",
            )
