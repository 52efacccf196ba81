"""On what a plan stands: what each table was when it was planned, and what was shown of it.

Masks and row filters are decided over columns. A question asked again later must be about the
columns of the plan's snapshot, or a renamed column would look like a changed policy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from catalog.domain import Table
from governance.domain import NO_OBLIGATIONS, Obligations, SecurableColumn

Json = dict[str, Any]
Seen = tuple[Table, Obligations, str]
"""A table, what was shown of it, and the name of its catalog at a snapshot of its own, if any."""


AT = " in "
"""Between a table's key and the name of its catalog at a snapshot of its own."""


@dataclass(frozen=True, slots=True)
class Footing:
    """One table's columns as planned, and `Obligations.fingerprint` of what was shown."""

    columns: tuple[SecurableColumn, ...] = ()
    fingerprint: str = NO_OBLIGATIONS.fingerprint

    def still_holds(self, now: Obligations) -> bool:
        """Tell whether rows that were shown so may be shown to whom `now` is decided for.

        They may to whom the policies leave everything, whatever was masked for another.
        """
        return now.is_empty or now.fingerprint == self.fingerprint


def as_json(tables: Iterable[Seen]) -> Json:
    """Return JSON-ready data by table key; what all keys of its columns share is left out.

    A table that is read at several snapshots has an entry for each: they are decided apart.
    """
    return {
        table.key + (AT + shown_in if shown_in else ""): {
            "fingerprint": obligations.fingerprint,
            "columns": [
                [column.key.rpartition("/")[2], list(column.path), column.type]
                for column in table.securable_columns
            ],
        }
        for table, obligations, shown_in in tables
    }


def all_of(table_key: str, record: Mapping[str, Any]) -> list[Footing]:
    """Read all that `as_json` wrote of a table, at whatever snapshots; at least one."""
    keys = [key for key in record if key == table_key or key.startswith(table_key + AT)]
    return [_read(table_key, record[key]) for key in keys] or [Footing()]


def of(table_key: str, record: Mapping[str, Any]) -> Footing:
    """Read what `as_json` wrote of a table; one that nothing was written of was shown whole."""
    if table_key not in record:
        return Footing()
    return _read(table_key, record[table_key])


def _read(table_key: str, written: Mapping[str, Any]) -> Footing:
    prefix = f"column:{table_key.removeprefix('table:')}"
    columns = tuple(
        SecurableColumn(f"{prefix}/{field_id}", tuple(path), kind)
        for field_id, path, kind in written["columns"]
    )
    return Footing(columns, written["fingerprint"])
