"""What upkeep would save the queries that were recorded: requests, bytes, and files by an order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from django.utils import timezone

from catalog import lake
from catalog.domain import ColumnFilter, Table
from catalog.lake.constants import bounds_of
from catalog.lake.types import comparison_of
from catalog.maintenance import recorded
from catalog.maintenance.domain import TableHealth
from catalog.models import Catalog

LOOKED_BACK = timedelta(days=7)
REQUESTS_PER_FILE = 2
"""One for the footer, one at least for the columns."""

SHAPES = 20
"""So many kinds of filters are looked at, the most frequent first."""


@dataclass(frozen=True, slots=True)
class Saving:
    """What mending a table would have saved its queries of the last days."""

    queries: int = 0
    requests: int = 0
    size_bytes: int = 0


@dataclass(slots=True)
class SortProposal:
    """What an order by `column` would have saved the queries that filter on it."""

    column: str
    queries: int = 0
    files_now: int = 0
    files_then: int = 0
    bytes_now: int = 0
    bytes_then: int = field(default=0)


def reads_of(catalog: Catalog) -> dict[str, recorded.Reads]:
    """Return what was read of each table of a catalog of late, by label."""
    found = recorded.reads(catalog.workspace, timezone.now() - LOOKED_BACK)
    prefix = f"{catalog.name}."
    return {label: read for label, read in found.items() if label.startswith(prefix)}


def saving_of(health: TableHealth, reads: recorded.Reads | None) -> Saving:
    """Return what fewer files and no deleted rows would have saved.

    Each query is taken to read the same share of the merged files as it did of the small ones.
    """
    if reads is None or not health.files:
        return Saving()
    share = 1 - health.ideal_files / health.files
    return Saving(
        queries=reads.queries,
        requests=int(reads.files * share) * REQUESTS_PER_FILE,
        size_bytes=int(reads.scan_bytes * health.delete_ratio),
    )


def sort_proposals(
    catalog: Catalog, table: Table, reads: recorded.Reads | None
) -> list[SortProposal]:
    """Return columns by which an order would save files, what saves most first.

    Files read now are counted by the files' own ranges. In an order, matching rows stand side by
    side: a value takes one file, and a range its share of the whole.
    """
    if reads is None or table.file_count < 2:  # noqa: PLR2004 - one file has no order
        return []
    found: dict[str, SortProposal] = {}
    newest = lake.latest_snapshot(catalog).snapshot_id
    summaries = lake.column_summaries(catalog, table, newest)
    columns = {c.name.lower(): c for c in table.top_columns}
    for filters, times in reads.filters[:SHAPES]:
        for name, own in _by_column(filters).items():
            column = columns.get(name)
            if column is None:
                continue
            summary = summaries.get(column.column_id)
            share = _share(own, column.ducklake_type, summary)
            if share is None:
                continue
            now = lake.prune(catalog, table, newest, [column.name], own)
            files = len(now.data_file_ids)
            then = min(files, max(1, round(share * table.file_count)))
            proposal = found.setdefault(column.name, SortProposal(column.name))
            proposal.queries += times
            proposal.files_now += files * times
            proposal.files_then += then * times
            each = table.file_size_bytes // table.file_count
            proposal.bytes_now += files * each * times
            proposal.bytes_then += then * each * times
    worth = [p for p in found.values() if p.files_then < p.files_now]
    return sorted(worth, key=lambda p: p.bytes_then - p.bytes_now)


def _by_column(filters: Iterable[ColumnFilter]) -> dict[str, list[ColumnFilter]]:
    found: dict[str, list[ColumnFilter]] = defaultdict(list)
    for one in filters:
        found[one.column.lower()].append(one)
    return found


def _share(
    filters: list[ColumnFilter], ducklake_type: str, summary: lake.ColumnSummary | None
) -> float | None:
    """Return about which share of an ordered table the filters keep; None where none can tell."""
    if any(one.operator in {"=", "in"} for one in filters):
        return 0.0
    if summary is None or summary.minimum is None or summary.maximum is None:
        return None
    comparison = comparison_of(ducklake_type)
    ends = [_position(bounds_of(text, comparison)) for text in (summary.minimum, summary.maximum)]
    if ends[0] is None or ends[1] is None or ends[0] >= ends[1]:
        return None
    low, high = ends[0], ends[1]
    begin, end = low, high
    for one in filters:
        at = _position(bounds_of(one.values[0], comparison)) if one.values else None
        if at is None:
            return None
        if one.operator in {">", ">="}:
            begin = max(begin, at)
        elif one.operator in {"<", "<="}:
            end = min(end, at)
    return max(0.0, end - begin) / (high - low)


def _position(bounds: tuple[object, object] | None) -> float | None:
    """Return where a value lies on a line: numbers as they are, ISO texts by their digits."""
    if bounds is None:
        return None
    value = bounds[0]
    if isinstance(value, str):
        digits = "".join(filter(str.isdigit, value))[:14].ljust(14, "0")
        return float(digits) if value[:4].isdigit() else None
    return float(value)  # type: ignore[arg-type]
