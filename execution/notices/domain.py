"""What a notice says, and how it travels."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from execution.domain import QueryState
from execution.engine.domain import Progress

CHANGES = "upend:queries:changes"
"""Channel of what is in the rows: a new state, or the wish to cancel."""
PROGRESS = "upend:queries:progress"
"""Channel of measures that are not, or not yet, in the rows."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Query `query_id` is now in `state`; `progress` where the notice is about that alone."""

    query_id: UUID
    state: QueryState
    progress: Progress | None = None

    @property
    def channel(self) -> str:
        """Return where this notice is published."""
        return CHANGES if self.progress is None else PROGRESS

    def as_text(self) -> str:
        """Return the notice as it travels."""
        said: dict[str, Any] = {"id": str(self.query_id), "state": self.state}
        if self.progress is not None:
            said["progress"] = self.progress.as_dict()
        return json.dumps(said)


def read(text: str) -> Notice | None:
    """Return the notice that travelled as `text`, None where it is none of ours."""
    try:
        said = json.loads(text)
        progress = said.get("progress")
        return Notice(
            UUID(said["id"]),
            QueryState(said["state"]),
            None if progress is None else Progress(**progress),
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
