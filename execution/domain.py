"""What runs, as plain values: places, plans, estimates, placements, states.

Steps 1 to 6 of a query produce one frozen `Plan`; explain renders it, run carries it out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID

from catalog.domain import ColumnFilter
from execution.extracts.domain import Offer, Unavailable
from execution.moments import Moment
from governance.domain import Decision
from governance.materialization import Materialization


class Place(StrEnum):
    """Where a query runs. The browser and the cluster come later; the plan has room for them."""

    LOCAL = "local"
    SERVER = "server"


class RequestedPlace(StrEnum):
    """What the person asked for."""

    AUTO = "auto"
    LOCAL = "local"
    SERVER = "server"


class QueryState(StrEnum):
    """Where a query stands. `delegated`: a manifest is out, the receipt is not back yet.

    `preparing`: the server writes an extract that the device will read.
    """

    CANCELLED = "cancelled"
    DELEGATED = "delegated"
    FAILED = "failed"
    PREPARING = "preparing"
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"

    @property
    def is_final(self) -> bool:
        """Tell whether nothing will change any more."""
        return self in {QueryState.CANCELLED, QueryState.FAILED, QueryState.SUCCEEDED}


class ExportState(StrEnum):
    """Where the conversion of a result to another format stands."""

    FAILED = "failed"
    QUEUED = "queued"
    READY = "ready"
    RUNNING = "running"


class ResultFormat(StrEnum):
    """The forms a result can be fetched in."""

    ARROW = "arrow"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


@dataclass(frozen=True, slots=True)
class TableName:
    """A table as the SQL text spells it: missing parts are empty. Compared case-folded."""

    catalog: str
    schema: str
    table: str
    at: Moment | None = None
    """The snapshot that the text gives this table; without one, its catalog's in the query."""

    @property
    def text(self) -> str:
        """Return the dotted spelling."""
        return ".".join(part for part in (self.catalog, self.schema, self.table) if part)


@dataclass(frozen=True, slots=True)
class TableReference:
    """One place of the text that names a table; `location` is the byte where the name begins.

    `moment_location` is the byte of the constant in its AT clause, where it has one.
    """

    name: TableName
    location: int
    is_aliased: bool
    moment_location: int = 0


@dataclass(frozen=True, slots=True)
class ColumnReference:
    """One place of the text that names a column by three parts or more; as `TableReference`."""

    parts: tuple[str, ...]
    location: int


@dataclass(frozen=True, slots=True)
class GatedQuery:
    """Text that passed the gate: one SELECT of listed functions over named tables.

    `canonical_sql` is the engine's own rendering of the checked syntax tree: what will run, and
    what people compare. `tables` are the names as spelled, CTEs excluded, without duplicates.
    `digest` is the same for texts that the parser cannot tell apart. `is_repeatable` says that
    the same rows always give the same answer, or one that the text allows as well: nothing reads
    the clock, draws lots or takes a sample. `references` are all places that name `tables`, and
    `columns` those of columns whose names may begin with a catalog.
    """

    sql: str
    canonical_sql: str
    tables: tuple[TableName, ...]
    functions: frozenset[str]
    digest: str = ""
    is_repeatable: bool = False
    references: tuple[TableReference, ...] = ()
    columns: tuple[ColumnReference, ...] = ()


@dataclass(frozen=True, slots=True)
class Scan:
    """One scan in the bound plan: which table, the columns it reads, the filters pushed down.

    `unknown_filters` are pushed down too but prune nothing. `table_key` names the securable.
    """

    table_key: str
    columns: tuple[str, ...]
    filters: tuple[ColumnFilter, ...] = ()
    unknown_filters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TableEstimate:
    """What the query would read of one table; bytes are compressed bytes in the bucket."""

    table_key: str
    label: str
    columns: tuple[str, ...]
    scan_bytes: int
    total_bytes: int
    files: int
    total_files: int
    rows: int
    data_file_ids: tuple[int, ...]
    filters: tuple[str, ...] = ()
    concealed: frozenset[str] = frozenset()
    """Columns that policies read and the person may not know of."""
    snapshot_id: int = 0

    @property
    def surviving_ids(self) -> list[int] | None:
        """Return the ids of the files to read; None where those are all there are."""
        return None if self.files == self.total_files else list(self.data_file_ids)

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-ready data without the file ids."""
        return {
            "table": self.label,
            "snapshot": self.snapshot_id,
            "columns": [name for name in self.columns if name not in self.concealed],
            "scan_bytes": self.scan_bytes,
            "total_bytes": self.total_bytes,
            "files": self.files,
            "total_files": self.total_files,
            "rows": self.rows,
            "filters": list(self.filters),
        }


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the whole query would read and hold."""

    tables: tuple[TableEstimate, ...]
    joins: int
    memory_bytes: int
    held_bytes: int = 0
    """What of the memory blocking operators fill: the rest is there for any query."""

    @property
    def scan_bytes(self) -> int:
        """Return the bytes to fetch from the bucket."""
        return sum(t.scan_bytes for t in self.tables)

    @property
    def bytes_by_table(self) -> dict[str, int]:
        """Return the bytes to fetch by table key, of all snapshots that it is read at."""
        found: dict[str, int] = {}
        for table in self.tables:
            found[table.table_key] = found.get(table.table_key, 0) + table.scan_bytes
        return found

    @property
    def total_bytes(self) -> int:
        """Return the bytes of all columns of all files of the tables named."""
        return sum(t.total_bytes for t in self.tables)

    @property
    def files(self) -> int:
        """Return the number of data files to open."""
        return sum(t.files for t in self.tables)


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that placement weighed: a stable code and a sentence for a person.

    `favours` is the place it speaks for; `decisive` marks what settled it.
    """

    code: str
    text: str
    favours: Place | None = None
    decisive: bool = False


ABOUT_MINUTES = 100
"""From so many seconds on, a prediction is said in minutes."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """How long a run would take: the parts of the formula, and what was learned about it."""

    start_seconds: float
    fetch_seconds: float
    compute_seconds: float
    wait_seconds: float = 0.0
    correction: float = 1.0

    @property
    def model_seconds(self) -> float:
        """Return what the formula alone says of the run: what its outcome is held against."""
        return self.start_seconds + self.fetch_seconds + self.compute_seconds

    @property
    def seconds(self) -> float:
        """Return the time a person would wait."""
        return round(self.model_seconds * self.correction + self.wait_seconds, 2)

    @property
    def about(self) -> str:
        """Return the time in words, no finer than a guess deserves: `about 0.4 s`."""
        if self.seconds < ABOUT_MINUTES:
            return f"about {max(self.seconds, 0.1):.1f} s"
        return f"about {self.seconds / 60:.0f} min"

    def as_dict(self) -> dict[str, float]:
        """Return the prediction as the plan keeps it."""
        return {
            "seconds": self.seconds,
            "start_seconds": round(self.start_seconds, 3),
            "fetch_seconds": round(self.fetch_seconds, 3),
            "compute_seconds": round(self.compute_seconds, 3),
            "wait_seconds": round(self.wait_seconds, 3),
            "correction": round(self.correction, 3),
            "model_seconds": round(self.model_seconds, 4),
        }


@dataclass(frozen=True, slots=True)
class Placement:
    """Where it runs and every reason weighed, in the order they were weighed.

    `place` is None when the place that was asked for is not allowed: then `refusal` says why.
    `local` is None where the person's machine is not allowed.
    """

    place: Place | None
    reasons: tuple[Reason, ...]
    server: Prediction
    local: Prediction | None
    refusal: Reason | None = None

    @property
    def local_allowed(self) -> bool:
        """Tell whether the person's own machine may run it."""
        return self.local is not None

    @property
    def times(self) -> str:
        """Return both predictions in words: `server about 0.4 s, here about 0.9 s`."""
        server = f"server {self.server.about}"
        return f"{server}, here {self.local.about}" if self.local else server

    @property
    def why(self) -> str:
        """Return the sentence that settled it."""
        if self.refusal:
            return self.refusal.text
        return next((r.text for r in self.reasons if r.decisive), "")


@dataclass(frozen=True, slots=True)
class CatalogPin:
    """One catalog at the snapshot that every place will read."""

    catalog_id: UUID
    name: str
    snapshot_id: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What a query would touch and cost, what governance says, where it would run and why.

    `search_path` and `tables` are for `planning.execution_record`: by them a worker makes the
    very slices that were planned. `engine_sql` is what runs on them where that is not the query's
    own text.
    """

    query: GatedQuery
    pins: tuple[CatalogPin, ...]
    scans: tuple[Scan, ...]
    decisions: tuple[Decision, ...]
    local_decisions: tuple[Decision, ...]
    estimate: Estimate
    placement: Placement
    requested: RequestedPlace
    default_catalog: str = ""
    columns: tuple[tuple[str, str], ...] = ()
    search_path: tuple[tuple[str, str], ...] = ()
    tables: tuple[dict[str, Any], ...] = ()
    footing: Mapping[str, Any] = field(default_factory=dict)
    materializations: tuple[Materialization, ...] = ()
    extracts: tuple[Offer | Unavailable, ...] = ()
    engine_sql: str = ""

    @property
    def offers(self) -> tuple[Offer, ...]:
        """Return the extracts that a local run would read in tables' places."""
        return tuple(found for found in self.extracts if isinstance(found, Offer))

    def as_dict(self) -> dict[str, Any]:
        """Return the plan as the API's JSON and the ledger's record."""
        placement = self.placement
        return {
            "sql": self.query.sql,
            "place": placement.place.value if placement.place else None,
            "requested": self.requested.value,
            "why": placement.why,
            "reasons": [
                {
                    "code": r.code,
                    "text": r.text,
                    "favours": r.favours.value if r.favours else None,
                    "decisive": r.decisive,
                }
                for r in placement.reasons
            ],
            "refusal": (
                {"code": placement.refusal.code, "text": placement.refusal.text}
                if placement.refusal
                else None
            ),
            "local_allowed": placement.local_allowed,
            "server_seconds": placement.server.seconds,
            "local_seconds": placement.local.seconds if placement.local else None,
            "times": placement.times,
            "predictions": {
                "server": placement.server.as_dict(),
                "local": placement.local.as_dict() if placement.local else None,
            },
            "scan_bytes": self.estimate.scan_bytes,
            "total_bytes": self.estimate.total_bytes,
            "files": self.estimate.files,
            "joins": self.estimate.joins,
            "memory_bytes": self.estimate.memory_bytes,
            "tables": [t.as_dict() for t in self.estimate.tables],
            "snapshots": {p.name: p.snapshot_id for p in self.pins},
            "decisions": [d.as_dict() for d in self.decisions],
            "local_decisions": [d.as_dict() for d in self.local_decisions],
            "materializations": [m.as_dict() for m in self.materializations],
            "extracts": [found.as_dict() for found in self.extracts],
            "columns": [{"name": n, "type": t} for n, t in self.columns],
        }
