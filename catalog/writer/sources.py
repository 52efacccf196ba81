"""Rows of one kind for one table, and the one statement that writes them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from catalog.ingest import casting
from catalog.ingest.domain import IngestMode, Target
from catalog.writer.quoting import quoted_name


@dataclass(frozen=True, slots=True)
class Home:
    """A table that rows go to, as it is now."""

    schema: str
    name: str
    targets: tuple[Target, ...]


@dataclass(slots=True)
class Source:
    """Rows that fit, in the order in which they came, still as they were sent."""

    home: Home
    mode: str
    keys: tuple[str, ...]
    schema: pa.Schema
    tables: list[pa.Table]
    rows: int = 0

    def cells(self) -> pa.Table:
        """Return all rows in one piece: several are read by several threads, in any order."""
        cells = pa.concat_tables(self.tables).combine_chunks()
        self.rows = cells.num_rows
        if self.mode == IngestMode.APPEND:
            return cells
        return cells.append_column(self._place, pa.array(range(self.rows), pa.int64()))

    def statement(self, cells: str) -> str:
        """Return the statement that writes what `cells` names."""
        types = {target.name: target.type for target in self.home.targets}
        casts = ((quoted_name(one.name), one.type, types[one.name]) for one in self.schema)
        values = ", ".join(f"{casting.cast(*one)} AS {one[0]}" for one in casts)
        if self.mode == IngestMode.APPEND:
            into = f"{self._table} ({_quoted(self.schema.names)})"
            return f"INSERT INTO {into} SELECT {values} FROM {cells}"  # noqa: S608 - quoted
        # The last row of a key wins, in the order in which the rows came.
        keys, place = _quoted(self._keys), quoted_name(self._place)
        last = (
            f"SELECT * EXCLUDE ({place}) FROM (SELECT {values}, {place} FROM {cells})"  # noqa: S608 - quoted
            f" QUALIFY row_number() OVER (PARTITION BY {keys} ORDER BY {place} DESC) = 1"
        )
        on = " AND ".join(f"t.{quoted_name(key)} = s.{quoted_name(key)}" for key in self._keys)
        merge = f"MERGE INTO {self._table} t USING ({last}) s ON {on}"
        return merge + (
            " WHEN MATCHED THEN DELETE" if self.mode == IngestMode.DELETE else self._changes()
        )

    def _changes(self) -> str:
        names = self.schema.names
        given = [quoted_name(name) for name in names if name not in self._keys]
        update = ", ".join(f"{name} = s.{name}" for name in given)
        values = ", ".join(f"s.{quoted_name(name)}" for name in names)
        changed = f" WHEN MATCHED THEN UPDATE SET {update}" if update else ""
        added = f"INSERT ({_quoted(names)}) VALUES ({values})"  # noqa: S608 - quoted
        return f"{changed} WHEN NOT MATCHED THEN {added}"

    @property
    def _table(self) -> str:
        return f"lake.{quoted_name(self.home.schema)}.{quoted_name(self.home.name)}"

    @property
    def _keys(self) -> list[str]:
        wanted = {key.lower() for key in self.keys}
        return [name for name in self.schema.names if name.lower() in wanted]

    @property
    def _place(self) -> str:
        """Return the name of a column that the rows do not have."""
        name = "place"
        while name in (known.lower() for known in self.schema.names):
            name += "_"
        return name


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(quoted_name(name) for name in names)
