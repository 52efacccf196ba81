"""Step 5: the files that are left after pruning, and what the columns read weigh in them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from catalog import lake
from catalog.domain import ColumnFilter, PrunedFiles
from execution import memory, widths
from execution.bind import Bound, BoundScan, HiddenTable
from execution.domain import Estimate, TableEstimate
from execution.resolve import Candidate

CLOCK = frozenset(
    """
    ago age current_date current_localtime current_localtimestamp current_time current_timestamp
    get_current_time get_current_timestamp localtime localtimestamp now today
    transaction_timestamp
    """.split()  # noqa: SIM905 - a list of words reads best as one
)
NUMBER = re.compile(r"-?[0-9]+([.][0-9]+)?(e[+-]?[0-9]+)?")
BASE_MEMORY_BYTES = 64 * 10**6
"""What any query needs: buffers for reading and decoding row groups."""

WORTH_A_LOOK = 64 * 10**6
"""Up to so much it makes no difference whether groups are few: their statistics stay unread."""

COUNTABLE_FILES = 20_000
"""In more files than this, adding up the statistics of columns takes longer than it helps."""


def estimate(
    bound: Bound, tables: Sequence[tuple[Candidate, HiddenTable]], functions: frozenset[str]
) -> Estimate:
    """Return what the query would read of each table, and hold in memory."""
    reads_clock = bool(functions & CLOCK)
    estimates = tuple(
        _table(candidate, hidden, [s for s in bound.scans if s.hidden is hidden], reads_clock)
        for candidate, hidden in tables
    )
    held = _held(bound, tables, estimates)
    return Estimate(estimates, bound.joins, BASE_MEMORY_BYTES + held, held)


def _held(
    bound: Bound,
    tables: Sequence[tuple[Candidate, HiddenTable]],
    estimates: Sequence[TableEstimate],
) -> int:
    """Return what blocking operators hold; statistics are looked at only where it is much."""
    found = memory.held_bytes(bound.roots, _facts(tables, estimates))
    if found <= WORTH_A_LOOK:
        return found
    return memory.held_bytes(bound.roots, _facts(tables, estimates, with_statistics=True))


def _facts(
    tables: Sequence[tuple[Candidate, HiddenTable]],
    estimates: Sequence[TableEstimate],
    *,
    with_statistics: bool = False,
) -> dict[str, widths.TableFacts]:
    """Return what is known of each table, by its hidden name."""
    found = {}
    for (candidate, hidden), estimated in zip(tables, estimates, strict=True):
        summaries: dict[int, lake.ColumnSummary] = {}
        # Of governed data an estimate must say no more than the engine's own guess does.
        is_open = hidden.obligations.is_empty and candidate.table.file_count <= COUNTABLE_FILES
        if with_statistics and is_open:
            at = candidate.snapshot.snapshot_id
            summaries = lake.column_summaries(candidate.catalog, candidate.table, at)
        found[hidden.name] = widths.facts_of(hidden, summaries, estimated.rows)
    return found


def _table(
    candidate: Candidate, hidden: HiddenTable, scans: Sequence[BoundScan], reads_clock: bool
) -> TableEstimate:
    """Return one table's part: a file stays if any scan of the table may need it.

    A table that the engine found it need not scan keeps all its files, at no bytes: other
    engines than the binder may count from them.
    """
    table = candidate.table
    pruned = [
        lake.prune(candidate.catalog, table, candidate.snapshot.snapshot_id, columns, filters)
        for filters, columns in _distinct(scans, reads_clock).items()
    ]
    ids = sorted({file_id for files in pruned for file_id in files.data_file_ids})
    read = {column for scan in scans for column in scan.columns}
    return TableEstimate(
        table_key=table.key,
        label=table.label,
        columns=tuple(c.name for c in table.top_columns if c.name in read),
        scan_bytes=sum(files.scan_bytes for files in pruned),
        total_bytes=pruned[0].total_bytes,
        files=len(ids),
        total_files=pruned[0].total_files,
        rows=_rows(pruned),
        data_file_ids=tuple(ids),
        filters=tuple(dict.fromkeys(text for scan in scans for text in _shown(scan))),
        concealed=hidden.obligations.hidden_columns,
        snapshot_id=candidate.snapshot.snapshot_id,
    )


def _distinct(
    scans: Sequence[BoundScan], reads_clock: bool
) -> dict[tuple[ColumnFilter, ...], tuple[str, ...]]:
    """Return the columns to read per set of filters: equal scans share what they fetched."""
    found: dict[tuple[ColumnFilter, ...], tuple[str, ...]] = {}
    for scan in scans:
        filters = _pruning(scan)
        filters = lasting(filters) if reads_clock else filters
        found[filters] = tuple(dict.fromkeys([*found.get(filters, ()), *scan.columns]))
    return found or {(): ()}


def _pruning(scan: BoundScan) -> tuple[ColumnFilter, ...]:
    """Return the filters that may leave files out: none that say something of hidden values.

    How many files and bytes are left is shown, before anything runs. Where the engine sees through
    a mask, it turns filters on what is shown into filters on what is hidden: they prune nothing.
    Nothing of the query's gets past the fence of a row filter: what is pushed down there is the
    policy's own, the same whatever is asked.
    """
    obligations = scan.hidden.obligations
    if obligations.row_filters:
        return scan.filters
    masked = {mask.column for mask in obligations.masks}
    return tuple(item for item in scan.filters if item.column not in masked)


def lasting(filters: Iterable[ColumnFilter]) -> tuple[ColumnFilter, ...]:
    """Keep the filters that stay necessary while the clock moves on between plan and run.

    The engine puts the present in for `now()`; a lower bound only rises, so that files left out
    by it stay useless. An upper bound or an equality may need rows of a moment later.
    """
    return tuple(f for f in filters if f.operator in {">", ">=", "is_null", "is_not_null"})


def _rows(pruned: Sequence[PrunedFiles]) -> int:
    return max(files.rows for files in pruned)


def _shown(scan: BoundScan) -> list[str]:
    """Return the filters of a scan for people; those of policies are not theirs to read."""
    obligations = scan.hidden.obligations
    if obligations.row_filters:
        return []
    unknown = () if obligations.masks else scan.unknown_filters
    return [*map(_text, _pruning(scan)), *unknown]


def _text(item: ColumnFilter) -> str:
    match item.operator:
        case "is_null" | "is_not_null":
            return f"{item.column} {item.operator.replace('_', ' ').upper()}"
        case "in":
            return f"{item.column} IN ({', '.join(map(_literal, item.values))})"
        case _:
            return f"{item.column} {item.operator} {_literal(item.values[0])}"


def _literal(value: str) -> str:
    """Quote what would not read as a number or a truth value."""
    is_bare = value in {"true", "false"} or NUMBER.fullmatch(value)
    return value if is_bare else "'" + value.replace("'", "''") + "'"
