"""The words of ingestion, as plain values: the web process and the writer's process share them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

SHOWN_ERRORS = 20
"""How many bad rows an answer names; the count tells of the others."""
REJECTED_SUFFIX = "__rejected"
"""The side table of quarantined rows is named after its table."""


class Acknowledgement(StrEnum):
    """What an answer to sent rows promises: part of a snapshot, or durably kept."""

    COMMITTED = "committed"
    STAGED = "staged"


class BatchState(StrEnum):
    """Where sent rows stand. `taken` ones are in a group that is being committed."""

    COMMITTED = "committed"
    REJECTED = "rejected"
    TAKEN = "taken"
    WAITING = "waiting"


class IngestMode(StrEnum):
    """What rows do to a table."""

    APPEND = "append"
    DELETE = "delete"
    UPSERT = "upsert"


class OnError(StrEnum):
    """What a bad row does to the others: they go too, or only it is put aside."""

    QUARANTINE = "quarantine"
    REJECT = "reject"


class RowFormat(StrEnum):
    """The forms that rows may be sent in."""

    ARROW = "arrow"
    CSV = "csv"
    JSON = "json"
    NDJSON = "ndjson"
    PARQUET = "parquet"
    TSV = "tsv"


class SchemaMode(StrEnum):
    """Whether rows may change a table's columns: never, or new nullable ones and wider types."""

    EVOLVE = "evolve"
    STRICT = "strict"


@dataclass(frozen=True, slots=True)
class Target:
    """A column that rows go to; `type` is the engine's spelling."""

    name: str
    type: str
    is_nullable: bool = True
    has_default: bool = False


def shape_of(targets: tuple[Target, ...]) -> str:
    """Return the digest of columns: rows that fitted them fit any table of the same shape."""
    said = json.dumps([[one.name, one.type, one.is_nullable] for one in targets])
    return hashlib.sha256(said.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class BadRow:
    """One row that does not fit, counted from 1. `value` is what the sender sent there."""

    row: int
    column: str
    reason: str
    value: str = ""
    raw: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return what the sender is told."""
        told: dict[str, Any] = {"row": self.row, "reason": self.reason}
        if self.column:
            told["column"] = self.column
        return told | ({"value": self.value} if self.value else {})


@dataclass(frozen=True, slots=True)
class Wanted:
    """What rows are checked against. `keys` name the rows to change, where there are any."""

    targets: tuple[Target, ...]
    mode: IngestMode = IngestMode.APPEND
    schema: SchemaMode = SchemaMode.STRICT
    keys: tuple[str, ...] = ()


@dataclass(slots=True)
class Evolution:
    """How a table must change first: columns to add, and to widen, with their types."""

    added: dict[str, str] = field(default_factory=dict)
    widened: dict[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.added or self.widened)

    def as_dict(self) -> dict[str, dict[str, str]]:
        """Return the JSON form; empty where nothing changes."""
        return {"added": self.added, "widened": self.widened} if self else {}


class Mismatch(Exception):
    """The rows as a whole do not fit: nothing of them can be taken."""

    def __init__(self, code: str, detail: str, hint: str = "") -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.hint = hint

    def as_dict(self) -> dict[str, Any]:
        """Return the members of a problem document."""
        members = {"code": self.code, "detail": self.detail}
        return members | ({"hint": self.hint} if self.hint else {})
