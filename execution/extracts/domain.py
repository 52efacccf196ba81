"""What a plan says of extracts: one that a local run would read, or why there can be none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID

from catalog.domain import ColumnFilter
from console.format import size as size_of

LEAST_SECONDS = 0.1


class ExtractState(StrEnum):
    """Where a governed extract stands. The object of an expired one goes after its last grant."""

    EXPIRED = "expired"
    FAILED = "failed"
    PREPARING = "preparing"
    READY = "ready"


@dataclass(frozen=True, slots=True)
class Content:
    """What an extract holds: columns, and the filters its rows satisfy; none means all rows."""

    columns: frozenset[str]
    filters: frozenset[ColumnFilter] = frozenset()

    def as_json(self) -> dict[str, Any]:
        """Return JSON-ready data, the same for equal contents."""
        filters = [[f.column, f.operator, list(f.values)] for f in self.filters]
        return {"columns": sorted(self.columns), "filters": sorted(filters)}

    @classmethod
    def of(cls, columns: Iterable[str], filters: Iterable[Sequence[Any]]) -> Content:
        """Read what `as_json` wrote."""
        found = (ColumnFilter(name, operator, tuple(vs)) for name, operator, vs in filters)
        return cls(frozenset(columns), frozenset(found))


@dataclass(frozen=True, slots=True)
class Offer:
    """The extract that would stand for one table of a query.

    `state` is None where there is none yet: `job` then says how to make it. `size_bytes` is exact
    for one that is ready, `read_bytes` what of it the query fetches; `seconds` pass before it can
    be read.
    """

    table_key: str
    table_label: str
    catalog_id: UUID
    snapshot_id: int
    committed_at: str | None
    fingerprint: str
    digest: str
    content: Content
    size_bytes: int
    read_bytes: int
    seconds: float = 0.0
    state: ExtractState | None = None
    extract_id: UUID | None = None
    job: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_ready(self) -> bool:
        """Tell whether a run may begin at once."""
        return self.state is ExtractState.READY

    @property
    def text(self) -> str:
        """Return it in words: `extract, 3.1 MB, ready` or `extract, about 2 s to prepare`."""
        if self.is_ready:
            return f"extract, {size_of(self.size_bytes)}, ready"
        return f"extract, about {max(self.seconds, LEAST_SECONDS):.1f} s to prepare"

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-ready data, as plans show it."""
        return {
            "table": self.table_label,
            "outcome": "extract",
            "state": self.state.value if self.state else "missing",
            "size_bytes": self.size_bytes,
            "seconds": round(self.seconds, 2),
            "text": self.text,
        }


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Why a table cannot be read as an extract, though policy would allow it."""

    table_key: str
    table_label: str
    code: str
    text: str

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-ready data, as plans show it."""
        return {
            "table": self.table_label,
            "outcome": "server",
            "state": "unavailable",
            "size_bytes": 0,
            "seconds": 0.0,
            "text": self.text,
        }
