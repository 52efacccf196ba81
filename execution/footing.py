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


def as_json(tables: Iterable[tuple[Table, Obligations]]) -> Json:
    """Return JSON-ready data by table key; what all keys of its columns share is left out."""
    return {
        table.key: {
            "fingerprint": obligations.fingerprint,
            "columns": [
                [column.key.rpartition("/")[2], list(column.path), column.type]
                for column in table.securable_columns
            ],
        }
        for table, obligations in tables
    }


def of(table_key: str, record: Mapping[str, Any]) -> Footing:
    """Read what `as_json` wrote of a table; one that nothing was written of was shown whole."""
    if table_key not in record:
        return Footing()
    prefix = f"column:{table_key.removeprefix('table:')}"
    columns = tuple(
        SecurableColumn(f"{prefix}/{field_id}", tuple(path), kind)
        for field_id, path, kind in record[table_key]["columns"]
    )
    return Footing(columns, record[table_key]["fingerprint"])
