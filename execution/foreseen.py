"""What is known of a query before it is bound, told to a worker that may get an engine ready.

A hint, and worth nothing a moment later: it gives no right, and whoever hears it decides anew. It
passes through the broker sealed, so that nobody else can have engines made.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from accounts.domain import Actor
from api.broker import push
from execution import footing
from execution.bind import HiddenTable
from execution.records import RECORD_FORMAT, table_entry
from execution.resolve import Candidate
from execution.sealed import opened, seal
from execution.slices import FEW_FILES
from execution.weight import SMALL_SCAN_BYTES
from governance.domain import Decision
from workspaces.models import Workspace

KEY = "upend:queries:foreseen"
KIND = "foreseen query"
SECONDS = 2
"""After so long the query has been bound and queued, or never will be."""
MOST_WAITING = 8
MOST_INLINED = 1000
"""Rows that a slice carries itself; more of them are no small message to an engine."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Foreseen:
    """The tables of a query that is being planned, as they were decided to be shown."""

    tables: Sequence[tuple[Candidate, HiddenTable]]
    search_path: tuple[tuple[str, str], ...]
    decisions: tuple[Decision, ...]

    @property
    def is_small(self) -> bool:
        """Tell whether the whole of its tables makes a small slice, whatever is asked of them."""
        tables = [candidate.table for candidate, _ in self.tables]
        files = sum(table.file_count for table in tables)
        size = sum(table.file_size_bytes for table in tables)
        inlined = sum(table.inlined_count for table in tables)
        is_short = files <= FEW_FILES and inlined <= MOST_INLINED
        return bool(tables) and is_short and size <= SMALL_SCAN_BYTES

    def as_json(self) -> Json:
        """Return what a row of the query would say of it: every column shown, and every file."""
        entries = [
            table_entry(candidate, hidden)
            | {"columns": [c.name for c in hidden.shown_columns], "data_file_ids": None}
            for candidate, hidden in self.tables
        ]
        return {
            "plan": {"decisions": [decision.as_dict() for decision in self.decisions]},
            "footing": footing.as_json(
                (h.table, h.obligations, h.shown_in) for _, h in self.tables
            ),
            "execution": {
                "format": RECORD_FORMAT,
                "search_path": [list(pair) for pair in self.search_path],
                "tables": entries,
            },
        }


def tell(
    found: Foreseen, *, actor: Actor, workspace: Workspace, purpose: str, request_digest: str
) -> None:
    """Tell one worker what `actor` is about to run. Without `request_digest` no kept rows do."""
    said = found.as_json() | {
        "asked": {"purpose": purpose, "mfa": actor.mfa, "address": actor.address, "bytes": {}},
        "at": time.time(),
        "is_person": actor.is_person,
        "principal": str(actor.id),
        "request_digest": request_digest,
        "workspace": str(workspace.id),
    }
    push(seal(KIND, KEY, json.dumps(said).encode()), KEY, most=MOST_WAITING, seconds=SECONDS)


def read(sealed: bytes) -> Json | None:
    """Return what was told a moment ago; None for what is old, or was not told by Upend."""
    text = opened(KIND, KEY, sealed)
    said: Json | None = json.loads(text) if text is not None else None
    return said if said and abs(time.time() - said["at"]) <= SECONDS else None
