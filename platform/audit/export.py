"""The ledger leaves as a stream: CSV for spreadsheets, NDJSON for everything else."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from typing import Any

from accounts.domain import Actor
from audit.chain import FIELDS
from audit.domain import Event
from audit.filters import LedgerFilter, find_records
from audit.models import AuditRecord, AuditRecordQuerySet
from audit.services import Target, record, service

CHUNK_ROWS = 1000
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet runs cells that begin so (OWASP, CSV injection)."""


class _Line:
    """A file that hands each written line straight back, so that csv can stream."""

    def write(self, line: str) -> str:
        return line


@service
def start_export(*, actor: Actor, question: LedgerFilter, media: str) -> AuditRecordQuerySet:
    """Return the records to export, and record that `actor` took them."""
    target = Target(
        "ledger", "ledger", "the audit ledger", actor.organization_id, question.workspace_id
    )
    record(
        actor=actor,
        event=Event.AUDIT_EXPORTED,
        target=target,
        after={"format": media, "filter": question.as_dict()},
    )
    return find_records(actor, question)


def as_ndjson(rows: AuditRecordQuerySet) -> Iterator[str]:
    """Yield one JSON object per line (https://github.com/ndjson/ndjson-spec)."""
    for row in rows.iterator(CHUNK_ROWS):
        yield json.dumps(_members(row), default=str) + "\n"


def as_csv(rows: AuditRecordQuerySet) -> Iterator[str]:
    """Yield the lines of a CSV file (RFC 4180) whose cells no spreadsheet takes for formulas."""
    writer = csv.writer(_Line())
    yield writer.writerow(FIELDS)
    for row in rows.iterator(CHUNK_ROWS):
        yield writer.writerow([_cell(value) for value in _members(row).values()])


def _members(row: AuditRecord) -> dict[str, Any]:
    members = {name: getattr(row, name) for name in FIELDS}
    return members | {"recorded_at": row.recorded_at.isoformat()}


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return without_formulas(json.dumps(value) if isinstance(value, dict | list) else str(value))


def without_formulas(text: str) -> str:
    """Return a cell that no spreadsheet runs: what could begin a formula follows an apostrophe."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text
