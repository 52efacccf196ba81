"""What extracts a local run of a query would read: those that are there, or those to be made.

The query is bound once more, to its governed tables as extracts show them: so the engine itself
names the columns that are read and the filters, and they are about shown values, never about
hidden ones.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import duckdb
from django.db.models import Q
from django.utils import timezone

from catalog import lake
from catalog.lake import State
from catalog.lake.types import quoted
from execution import footing, timing
from execution.bind import Bound, BoundScan, HiddenTable, bind
from execution.estimate import CLOCK, estimate, lasting
from execution.extracts import carried
from execution.extracts.content import Needed, common, covers, kinds_of, sql_of
from execution.extracts.domain import Content, ExtractState, Offer, Unavailable
from execution.models import Extract
from execution.records import table_entry, with_files
from execution.repeatable import is_repeatable
from execution.resolve import Candidate
from governance.domain import Obligations
from workspaces.models import Workspace

FORMAT = 1
"""Raise it where extracts come to be written otherwise: earlier ones serve no more."""

WHOLE_TABLE_BYTES = 16 * 10**6
"""Up to so much, an extract holds all that is shown: the next query finds it, whatever it reads."""

WHOLE_ROWS_BYTES = 64 * 10**6
"""Up to so much, it holds all rows of the columns that are read."""

Json = dict[str, Any]
Tables = Sequence[tuple[Candidate, HiddenTable]]


@dataclass(frozen=True, slots=True)
class Asked:
    """A query as far as its extracts are concerned."""

    workspace: Workspace
    sql: str
    functions: frozenset[str]
    search_path: Sequence[tuple[str, str]]
    principal: str


def offers_of(
    asked: Asked, tables: Tables, governed: Collection[str]
) -> tuple[Offer | Unavailable, ...]:
    """Return what stands for each table whose key is `governed` in a local run, in order."""
    shown = [
        (candidate, _as_extract(hidden) if candidate.table.key in governed else hidden)
        for candidate, hidden in tables
    ]
    bound = bind(
        asked.sql, [hidden for _, hidden in shown], asked.search_path, principal=asked.principal
    )
    return tuple(
        _offer(asked, candidate, hidden, _needed(asked, bound, as_extract))
        for (candidate, hidden), (_, as_extract) in zip(tables, shown, strict=True)
        if candidate.table.key in governed
    )


def _as_extract(hidden: HiddenTable) -> HiddenTable:
    """Return the table as an extract shows it: without the hidden columns, and nothing else."""
    kept = Obligations(hidden_columns=hidden.obligations.hidden_columns)
    return replace(hidden, obligations=kept)


def _needed(asked: Asked, bound: Bound, hidden: HiddenTable) -> Needed:
    """Return what the query reads of a table; all rows where the engine found it need not look."""
    scans = [scan for scan in bound.scans if scan.hidden is hidden]
    columns = {column for scan in scans for column in scan.columns}
    if not columns:
        columns = {hidden.shown_columns[0].name}
    return Needed(frozenset(columns), tuple(_filters(asked, s) for s in scans) or (frozenset(),))


def _filters(asked: Asked, scan: BoundScan) -> frozenset[Any]:
    return frozenset(lasting(scan.filters) if asked.functions & CLOCK else scan.filters)


def _offer(
    asked: Asked, candidate: Candidate, hidden: HiddenTable, needed: Needed
) -> Offer | Unavailable:
    table = candidate.table
    if not is_repeatable(hidden.view()):
        text = f"What you may see of {table.label} changes by itself, so no extract can hold it."
        return Unavailable(table.key, table.label, "extract-not-lasting", text)
    if columns := carried.not_carried(table, needed.columns):
        text = f"No extract can hold {table.label}.{columns[0]}: its type has no exact form there."
        return Unavailable(table.key, table.label, "extract-type", text)
    at = candidate.snapshot.snapshot_id
    state = lake.unchanged_since(candidate.catalog, [table.table_id], at)[table.table_id]
    fingerprint = hidden.obligations.fingerprint
    held = _held(asked.workspace, candidate, state, fingerprint, needed)
    return held or _to_make(asked, candidate, hidden, state, needed)


def _held(
    workspace: Workspace, candidate: Candidate, state: State, fingerprint: str, needed: Needed
) -> Offer | None:
    """Return the extract that serves the query soonest, of those that are there or on the way."""
    rows = Extract.objects.filter(
        Q(state=ExtractState.READY) | Q(state=ExtractState.PREPARING),
        workspace=workspace,
        table_key=candidate.table.key,
        fingerprint=fingerprint,
        snapshot_id=state.snapshot_id,
        committed_at=state.committed_at,
        job__format=FORMAT,
        job__engine=duckdb.__version__,
    )
    kinds = kinds_of(candidate.table)
    found = [
        _of_row(row, needed)
        for row in rows
        if covers(Content.of(row.columns, row.filters), needed, kinds)
    ]
    return min(found, key=lambda offer: (offer.seconds, offer.read_bytes), default=None)


def _of_row(row: Extract, needed: Needed) -> Offer:
    """Return the offer of an extract that is ready, or being prepared."""
    seconds = 0.0
    size, read = int(row.job["size_bytes"]), int(row.job["read_bytes"])
    if row.state == ExtractState.READY:
        size = row.size_bytes or 0
        read = sum(row.column_bytes.get(name, 0) for name in needed.columns)
        read += row.footer_bytes or 0
    else:
        waited = (timezone.now() - row.created_at).total_seconds()
        seconds = max(float(row.job["seconds"]) - waited, timing.SERVER_START_SECONDS)
    return Offer(
        table_key=row.table_key,
        table_label=row.table_label,
        catalog_id=row.catalog_id,
        snapshot_id=row.snapshot_id,
        committed_at=row.committed_at.isoformat() if row.committed_at else None,
        fingerprint=row.fingerprint,
        digest=row.digest,
        content=Content.of(row.columns, row.filters),
        size_bytes=size,
        read_bytes=read,
        seconds=seconds,
        state=ExtractState(row.state),
        extract_id=row.id,
        job=row.job,
    )


def _to_make(
    asked: Asked, candidate: Candidate, hidden: HiddenTable, state: State, needed: Needed
) -> Offer | Unavailable:
    """Return the extract that would be made for the query."""
    table = candidate.table
    content = _worth_holding(candidate, hidden, needed)
    entry, scan_bytes = _writing(candidate, hidden, content)
    size = _bytes_of(candidate, content.columns)
    seconds = timing.to_prepare(scan_bytes=scan_bytes, written_bytes=size)
    facts = {
        "workspace": str(asked.workspace.id),
        "table": table.key,
        "since": [state.snapshot_id, str(state.committed_at)],
        "fingerprint": hidden.obligations.fingerprint,
        "content": content.as_json(),
        "format": FORMAT,
        "engine": duckdb.__version__,
    }
    offer = Offer(
        table_key=table.key,
        table_label=table.label,
        catalog_id=candidate.catalog.id,
        snapshot_id=state.snapshot_id,
        committed_at=state.committed_at.isoformat() if state.committed_at else None,
        fingerprint=hidden.obligations.fingerprint,
        digest=hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest(),
        content=content,
        size_bytes=size,
        read_bytes=min(size, _bytes_of(candidate, needed.columns)),
        seconds=seconds,
        job=entry
        | {
            "format": FORMAT,
            "engine": duckdb.__version__,
            "footing": footing.as_json([(table, hidden.obligations, "")]),
            "size_bytes": size,
        },
    )
    job = dict(offer.job) | {"read_bytes": offer.read_bytes, "seconds": seconds}
    return _failed_before(offer) or replace(offer, job=job)


def _failed_before(offer: Offer) -> Unavailable | None:
    """Tell why the same extract could not be made a short while ago."""
    rows = Extract.objects.filter(digest=offer.digest, state=ExtractState.FAILED)
    last = rows.filter(expires_at__gt=timezone.now()).order_by("-created_at").first()
    if last is None:
        return None
    problem = last.problem or {}
    code = str(problem.get("code", "extract-failed"))
    text = f"There is no extract of {offer.table_label}: {problem.get('detail', '')}".strip()
    return Unavailable(offer.table_key, offer.table_label, code, text)


def _worth_holding(candidate: Candidate, hidden: HiddenTable, needed: Needed) -> Content:
    """Return what to write: all that is shown of a small table, of a large one what is needed."""
    shown = {column.name for column in hidden.shown_columns}
    everything = frozenset(shown - set(carried.not_carried(candidate.table, shown)))
    if _bytes_of(candidate, everything) <= WHOLE_TABLE_BYTES:
        return Content(everything)
    if _bytes_of(candidate, needed.columns) <= WHOLE_ROWS_BYTES:
        return Content(needed.columns)
    return Content(needed.columns, common(needed.scans, kinds_of(candidate.table)))


def _bytes_of(candidate: Candidate, columns: Iterable[str]) -> int:
    """Return the bytes of these columns in all files of the table, as they are in the bucket."""
    names, at = sorted(columns), candidate.snapshot.snapshot_id
    return lake.prune(candidate.catalog, candidate.table, at, names, ()).scan_bytes


def _writing(candidate: Candidate, hidden: HiddenTable, content: Content) -> tuple[Json, int]:
    """Return the writer's job, and the bytes it reads: planned like any query of one table."""
    table = candidate.table
    name = ".".join(map(quoted, (table.catalog_name, table.schema_name, table.name)))
    where = sql_of(content.filters, table)
    terms = carried.select_list(table, content.columns)
    sql = f"SELECT {terms} FROM {name}"  # noqa: S608 - quoted names and checked literals
    sql += f" WHERE {where}" if where else ""
    alone = replace(hidden, name="t1")
    bound = bind(sql, [alone], ())
    (estimated,) = estimate(bound, [(candidate, alone)], frozenset()).tables
    entry = with_files(table_entry(candidate, alone), estimated)
    return {"sql": sql, "table": entry}, estimated.scan_bytes
