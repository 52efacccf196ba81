"""What queries read of tables, of the room above: by it, what upkeep would save is measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from catalog.domain import ColumnFilter
from workspaces.models import Workspace


@dataclass(frozen=True, slots=True)
class Reads:
    """What the recorded queries read of one table, together.

    `filters` are (filters of one query, how often); each filter is of known shape.
    """

    queries: int = 0
    files: int = 0
    scan_bytes: int = 0
    filters: tuple[tuple[tuple[ColumnFilter, ...], int], ...] = ()


class Recordings(Protocol):
    """Finds what was read."""

    def reads(self, workspace: Workspace, since: datetime) -> Mapping[str, Reads]:
        """Return what the queries since then read, by the label of the table."""


_registered: list[Recordings] = []


def register(recordings: Recordings) -> None:
    """Make `recordings` the ones that are asked; called once, from `AppConfig.ready`."""
    _registered[:] = [recordings]


def reads(workspace: Workspace, since: datetime) -> Mapping[str, Reads]:
    """Return what was read since then by table; nothing where nobody recorded."""
    return _registered[0].reads(workspace, since) if _registered else {}
