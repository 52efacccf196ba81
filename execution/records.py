"""What a plan writes down of each table, for whoever makes its slice."""

from __future__ import annotations

from typing import Any

from execution.bind import HiddenTable
from execution.domain import TableEstimate
from execution.resolve import Candidate

RECORD_FORMAT = "upend.execution/1"

Json = dict[str, Any]


def table_entry(candidate: Candidate, hidden: HiddenTable) -> Json:
    """Return what finds the table again and shows it as it was granted."""
    table = candidate.table
    return {
        "catalog_id": str(candidate.catalog.id),
        "snapshot_id": candidate.snapshot.snapshot_id,
        "later_file_id": candidate.snapshot.next_file_id,
        "table_key": table.key,
        "table_id": table.table_id,
        "table_uuid": str(table.table_uuid),
        "view": hidden.view(),
    } | ({"shown_in": candidate.shown_in} if candidate.shown_in else {})


def with_files(entry: Json, estimated: TableEstimate) -> Json:
    """Return the entry with what is to be read of the table."""
    return entry | {
        "columns": list(estimated.columns),
        "data_file_ids": estimated.surviving_ids,
        "files": estimated.files,
    }
