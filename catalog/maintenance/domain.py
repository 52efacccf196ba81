"""Upkeep as plain values: what a policy says, how a lake stands, and the steps that mend it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, time
from enum import StrEnum
from typing import Any
from uuid import UUID

MIB = 2**20
TARGET_FILE_BYTES = 256 * MIB
KEEP_DAYS = 30
DAILY_BUDGET_BYTES = 100 * 2**30
MIN_TARGET_BYTES = MIB
MAX_TARGET_BYTES = 4 * 2**30


class StepKind(StrEnum):
    """What one step of upkeep does. Each is one commit, or one round of deletions."""

    CLEAN_UP = "clean_up"
    EXPIRE = "expire"
    FLUSH = "flush"
    MERGE = "merge"
    ORPHANS = "orphans"
    REWRITE = "rewrite"
    SORT = "sort"


class RunState(StrEnum):
    """Where a run of upkeep stands."""

    CANCELLED = "cancelled"
    FAILED = "failed"
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"


class Trigger(StrEnum):
    """Who began a run."""

    PERSON = "person"
    SCHEDULE = "schedule"


@dataclass(frozen=True, slots=True)
class QuietHours:
    """When little else happens, UTC; `until` before `since` is the next morning."""

    since: time
    until: time

    def holds(self, moment: datetime) -> bool:
        """Tell whether `moment` lies within."""
        at = moment.time()
        if self.since <= self.until:
            return self.since <= at < self.until
        return at >= self.since or at < self.until

    def __str__(self) -> str:
        return f"{self.since:%H:%M}-{self.until:%H:%M}"


@dataclass(frozen=True, slots=True)
class Policy:
    """How a catalog, or one of its tables, is kept. What a table does not say its catalog says.

    Snapshots older than `keep_days` expire, unless they are tagged and `keep_tagged`; None keeps
    all. Steps that rewrite much wait for the quiet hours, if there are any. `daily_budget_bytes`
    bounds what the schedule rewrites in a day; what a person starts is not bounded.
    """

    enabled: bool = True
    target_file_bytes: int = TARGET_FILE_BYTES
    keep_days: int | None = KEEP_DAYS
    keep_tagged: bool = True
    quiet_hours: QuietHours | None = None
    daily_budget_bytes: int = DAILY_BUDGET_BYTES


@dataclass(frozen=True, slots=True)
class Tier:
    """Files of about one size that could be merged with each other, of one table.

    Files merge where they share the table's schema version and partition and have no deletes;
    `files` and `size_bytes` count only those that have at least one such neighbour.
    """

    floor_bytes: int
    ceiling_bytes: int
    files: int
    size_bytes: int
    groups: int


@dataclass(frozen=True, slots=True)
class TableHealth:
    """How the files of one table stand at the newest snapshot.

    `deleted_bytes` is the size of the files with deletes; `worst_deleted` the greatest share of
    deleted rows in one file. `inlined_since` is when the oldest inlined row was committed.
    `held_bytes` are those of the files that only older snapshots need.
    """

    table_id: int
    table_uuid: UUID
    schema_name: str
    name: str
    files: int = 0
    size_bytes: int = 0
    rows: int = 0
    small_files: int = 0
    small_bytes: int = 0
    files_with_deletes: int = 0
    small_with_deletes: int = 0
    bytes_with_deletes: int = 0
    deleted_rows: int = 0
    worth_rewriting_bytes: int = 0
    inlined_rows: int = 0
    inlined_since: datetime | None = None
    tiers: tuple[Tier, ...] = ()
    target_set_bytes: int | None = None
    held_files: int = 0
    held_bytes: int = 0

    @property
    def label(self) -> str:
        """Return the name within the catalog."""
        return f"{self.schema_name}.{self.name}"

    @property
    def delete_ratio(self) -> float:
        """Return the share of the files' rows that are deleted."""
        return self.deleted_rows / self.rows if self.rows else 0.0

    @property
    def ideal_files(self) -> int:
        """Return how many files there would be, were none small."""
        return self.files - self.small_files + bool(self.small_files)


@dataclass(frozen=True, slots=True)
class CatalogHealth:
    """What of a lake no table owns: its snapshots, and objects that wait to be deleted.

    `held_bytes` are those of files that only older snapshots need.
    """

    snapshots: int = 0
    oldest_at: datetime | None = None
    expirable: tuple[int, ...] = ()
    held_files: int = 0
    held_bytes: int = 0
    scheduled_files: int = 0
    deletable_files: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """One commit of upkeep, or one round of deletions. `size_bytes` is what it would rewrite."""

    kind: StepKind
    schema_name: str = ""
    table: str = ""
    why: str = ""
    files: int = 0
    size_bytes: int = 0
    is_heavy: bool = False
    options: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-ready data."""
        return {
            "kind": self.kind,
            "schema": self.schema_name,
            "table": self.table,
            "why": self.why,
            "files": self.files,
            "size_bytes": self.size_bytes,
            "is_heavy": self.is_heavy,
            "options": self.options,
        }

    @classmethod
    def of(cls, given: dict[str, Any]) -> Step:
        """Return the step of its JSON form."""
        return cls(
            StepKind(given["kind"]),
            given["schema"],
            given["table"],
            given["why"],
            given["files"],
            given["size_bytes"],
            given["is_heavy"],
            given["options"],
        )

    def within(self, **options: Any) -> Step:
        """Return the step with more options."""
        return replace(self, options=self.options | options)
