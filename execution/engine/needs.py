"""What a query needs of its engine, and when an engine that was made for another need will do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class TableNeed:
    """One table as a query needs it. `files` are ids of data files, None for all of them."""

    shown_as: str
    identity: tuple[str, str, int, str]
    view: str
    columns: frozenset[str]
    files: frozenset[int] | None

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> TableNeed:
        """Read one entry of an execution record."""
        view = {key: value for key, value in entry["view"].items() if key != "table"}
        ids = entry["data_file_ids"]
        return cls(
            shown_as=str(entry["view"]["name"]).casefold(),
            identity=(
                entry["catalog_id"],
                entry["table_uuid"],
                entry["snapshot_id"],
                entry.get("shown_in", ""),
            ),
            view=json.dumps(view, sort_keys=True),
            columns=frozenset(entry["columns"]),
            files=None if ids is None else frozenset(ids),
        )

    def covers(self, other: TableNeed) -> bool:
        """Tell whether a slice made for this need holds all that `other` needs."""
        same = self.identity == other.identity and self.view == other.view
        files = self.files is None or (other.files is not None and other.files <= self.files)
        return same and files and other.columns <= self.columns


@dataclass(frozen=True, slots=True)
class Need:
    """What a query needs of its engine: whose it is, how names resolve, memory, and tables."""

    principal: str
    workspace: str
    search_path: tuple[tuple[str, ...], ...]
    memory_bytes: int
    tables: tuple[TableNeed, ...]

    @classmethod
    def of(
        cls, record: Mapping[str, Any], *, principal: str, workspace: str, memory_bytes: int
    ) -> Need:
        """Read the need of an execution record."""
        return cls(
            principal=principal,
            workspace=workspace,
            search_path=tuple(tuple(pair) for pair in record["search_path"]),
            memory_bytes=memory_bytes,
            tables=tuple(map(TableNeed.of, record.get("tables", []))),
        )

    @property
    def least(self) -> Need:
        """Return the need of a query of the same tables that reads next to nothing of them."""
        nothing: frozenset[Any] = frozenset()
        tables = (replace(table, columns=nothing, files=nothing) for table in self.tables)
        return replace(self, tables=tuple(tables))

    def covers(self, other: Need) -> bool:
        """Tell whether an engine made for this need may run a query with the need `other`."""
        mine, theirs = self._session, other._session
        return mine == theirs and other.memory_bytes <= self.memory_bytes and self._holds(other)

    @property
    def _session(self) -> tuple[object, ...]:
        return self.principal, self.workspace, self.search_path

    def _holds(self, other: Need) -> bool:
        """Tell whether every table is held, and none more could take a name of the query's."""
        used = [self._held(table) for table in other.tables]
        spare = {table.shown_as for table in self.tables if table not in used}
        return all(used) and spare.isdisjoint(table.shown_as for table in other.tables)

    def _held(self, wanted: TableNeed) -> TableNeed | None:
        return next((table for table in self.tables if table.covers(wanted)), None)
