"""Takes rows in: checked as far as that is quick, kept durably, then told of; once for each key."""

from __future__ import annotations

import uuid

import psycopg
from django.conf import settings
from django.db import IntegrityError, OperationalError, transaction

from accounts import statements
from accounts.domain import Actor
from api.waiting import release_connection
from audit import services as audit
from audit.domain import Event
from catalog import lake, storage
from catalog.domain import Table
from catalog.ingest import wake
from catalog.ingest.acceptance import Found, Sent, checked
from catalog.ingest.domain import (
    SHOWN_ERRORS,
    IngestMode,
    OnError,
)
from catalog.ingest.groups import forget, target_of
from catalog.ingest.standing import Standing, arrival, standing
from catalog.models import Catalog, IngestBatch, IngestPayload
from catalog.selectors import find_catalog, find_table
from catalog.services.jobs import IdempotencyConflict, publish
from catalog.writable import check_writable
from governance import listing
from governance import services as governance
from governance.domain import Action, Request
from problems import Problem

INLINE_BYTES = 2**20
"""What is smaller is kept in PostgreSQL, what is larger in Upend's own bucket."""
ACTIONS = {
    IngestMode.APPEND: Action.TABLE_APPEND,
    IngestMode.DELETE: Action.TABLE_MODIFY,
    IngestMode.UPSERT: Action.TABLE_MODIFY,
}


INSERTION = (
    f"made AS ({statements.insertion(IngestBatch)}), payload AS ("  # noqa: S608 - our own names
    "INSERT INTO catalog_ingestpayload (batch_id, content, rejected)"
    " SELECT id, %s::bytea, %s::jsonb FROM made), others AS ("
    "SELECT EXISTS (SELECT FROM catalog_ingestbatch"
    " WHERE catalog_id = %s AND state = 'waiting') AS wait)"
)
"""A batch, what it holds, and whether others wait already."""


class RowsTooLarge(Problem):
    """The body is larger than this server takes at once."""

    code = "rows-too-large"
    status = 413
    title = "The rows are too large"


class IngestBusy(Problem):
    """So many rows wait for their commit that no more are taken in for now."""

    code = "ingest-busy"
    status = 429
    title = "Too many rows wait"


class NothingKept(Problem):
    """The database has no room for the rows, so that they were not taken in."""

    code = "rows-not-kept"
    status = 503
    title = "The rows could not be kept"


def send_rows(
    *, actor: Actor, catalog: Catalog, schema: str, table: str, sent: Sent, key: str = ""
) -> IngestBatch:
    """Take rows in for a table, durably, and return their batch; it waits for its commit.

    The same `key` again returns the first batch. Raises `AccessDenied`, `UnknownCatalog`,
    `UnknownTable`, `RowsRejected`, `RowsTooLarge`, `IngestBusy`, `NothingKept`,
    `StorageUnreachable`, `CatalogReadOnly`, `BucketReadOnly` or `IdempotencyConflict`; then
    nothing was taken in.
    """
    found, now = _destination(actor, catalog, (schema, table), ACTIONS[sent.mode], key)
    check_writable(catalog)
    if len(sent.body) > settings.INGEST_MAX_BYTES:
        raise too_large(len(sent.body))
    digest = sent.digest(found.table_uuid)
    if now.earlier_id is not None:
        return _repeated(catalog, now.earlier_id, digest)
    _refuse_backlog(catalog, now)
    batch = IngestBatch(
        catalog=catalog,
        table_uuid=found.table_uuid,
        schema_name=found.schema_name,
        table_name=found.name,
        mode=sent.mode,
        format=sent.format,
        on_error=sent.on_error,
        key_columns=list(sent.keys),
        schema_mode=now.schema_mode,
        keeps_raw=_keeps_raw(actor, catalog, found, sent),
        idempotency_key=key,
        digest=digest,
        requested_by={"kind": actor.kind, "id": str(actor.id), "label": actor.label},
    )
    return _kept(actor, batch, sent, checked(actor, batch, found, sent))


def too_large(size: int) -> RowsTooLarge:
    """Return the refusal of a body that is too large."""
    return RowsTooLarge(
        f"The body has {size:,} bytes; this server takes {settings.INGEST_MAX_BYTES:,} at once.",
        hint="Send the rows in several batches, or upload them as a file.",
    )


def _destination(
    actor: Actor, catalog: Catalog, name: tuple[str, str], action: Action, key: str
) -> tuple[Table, Standing]:
    """Return the table that rows are for, and how things stand for it.

    Raises `UnknownCatalog`, `UnknownTable` or `AccessDenied`, whatever else is wrong.
    """
    try:
        found, now = arrival(catalog, *name, key)
    except lake.CatalogNotReady:
        find_catalog(actor, catalog.workspace, catalog.name)
        raise
    if found is not None:
        table = found.securable(catalog.securable)
        asked = [
            Request(Action.CATALOG_BROWSE, catalog.securable),
            Request(Action.CATALOG_BROWSE, table),
            Request(action, table),
        ]
        if all(decision.allowed for decision in governance.decide_many(actor, asked)):
            return found, now
    # Seldom: the nearest name for who mistyped it, and the reason for who may not.
    find_catalog(actor, catalog.workspace, catalog.name)
    found = find_table(actor, catalog, now.newest.snapshot_id, *name)
    governance.authorize(actor, action, found.securable(catalog.securable))
    return found, standing(catalog, found.table_uuid, key)


def _repeated(catalog: Catalog, batch_id: int, digest: str) -> IngestBatch:
    """Return the batch that this key made already. Raises `IdempotencyConflict`."""
    found = IngestBatch.objects.get(id=batch_id)
    found.catalog = catalog
    if found.digest != digest:
        raise IdempotencyConflict(
            f"The idempotency key {found.idempotency_key!r} belongs to other rows.",
            hint="Use a new key for new rows.",
        )
    return found


def _refuse_backlog(catalog: Catalog, now: Standing) -> None:
    """Refuse while too much waits. Raises `IngestBusy`."""
    limit = settings.INGEST_WAITING_BYTES
    if now.catalog_bytes > limit or now.workspace_bytes > 2 * limit:
        problem = IngestBusy(
            f"{now.catalog_bytes:,} bytes of rows in {now.batches:,} batches wait for"
            f" {catalog.name}; nothing of these was taken in.",
            hint="Send them again in a few seconds; the same Idempotency-Key makes that safe.",
        )
        problem.retry_after_seconds = 5
        raise problem


def _keeps_raw(actor: Actor, catalog: Catalog, table: Table, sent: Sent) -> bool:
    """Tell whether what was rejected may stand in the side table, which has no policies."""
    if sent.on_error is not OnError.QUARANTINE:
        return False
    return listing.is_unprotected(actor, table.securable(catalog.securable))


def _kept(actor: Actor, batch: IngestBatch, sent: Sent, found: Found) -> IngestBatch:
    """Keep the rows where nothing of this machine can lose them. Raises what that may."""
    content = sent.body if found.content is None else found.content
    batch.row_count, batch.rejected_count = found.rows, len(found.bad)
    batch.errors = [one.as_dict() for one in found.bad[:SHOWN_ERRORS]]
    batch.evolution = found.evolution.as_dict() if found.evolution else {}
    batch.size_bytes = max(len(content), 1)
    rejected = [[one.row, one.column, one.reason, one.raw] for one in found.bad]
    if not batch.keeps_raw:
        rejected = [[row, column, reason, ""] for row, column, reason, _ in rejected]
    if len(content) > INLINE_BYTES:
        batch.staged_key = f"staging/{batch.catalog_id}/rows/{uuid.uuid4()}"
        storage.hosted().put_bytes(batch.staged_key, content)
        payload = IngestPayload(batch=batch, content=None, rejected=rejected)
    else:
        payload = IngestPayload(batch=batch, content=content, rejected=rejected)
    try:
        _accept(actor=actor, batch=batch, payload=payload)
    except IntegrityError:  # the same key arrived twice at once
        forget(list(filter(None, [batch.staged_key])))
        now = standing(batch.catalog, batch.table_uuid, batch.idempotency_key)
        if now.earlier_id is None:
            raise
        return _repeated(batch.catalog, now.earlier_id, batch.digest)
    except OperationalError as error:
        if isinstance(error.__cause__, psycopg.errors.DiskFull):
            raise _no_room() from error
        raise
    return batch


def _no_room() -> NothingKept:
    problem = NothingKept(
        "The database's disk is full; nothing of the rows was taken in.",
        hint="An operator must make room; send the rows again then.",
    )
    problem.retry_after_seconds = 60
    return problem


def _accept(*, actor: Actor, batch: IngestBatch, payload: IngestPayload) -> None:
    """Put a batch, what it holds and its record into the queue: one statement, all or nothing.

    `send_rows` has authorized it.
    """
    number, is_told = audit.record_with(
        INSERTION,
        [*statements.values(batch), *statements.values(payload), batch.catalog_id],
        key="batch",
        answer="SELECT made.id, others.wait FROM made, others",
        actor=actor,
        event=Event.ROWS_RECEIVED,
        target=target_of(batch.catalog, batch),
        after={
            "bytes": batch.size_bytes,
            "format": batch.format,
            "mode": batch.mode,
            "rejected": batch.rejected_count,
            "rows": batch.row_count,
        },
    )
    statements.inserted(batch, number)
    if not is_told:  # else whoever takes those looks once more when they are committed
        transaction.on_commit(lambda: _announce(batch.catalog_id))


def _announce(catalog_id: uuid.UUID) -> None:
    if not wake.rouse(catalog_id) and wake.is_first(catalog_id):
        publish(catalog_id)


def wait_until_finished(batch: IngestBatch, seconds: float) -> IngestBatch:
    """Return the batch once it is committed or rejected, or as it is after `seconds`."""
    if not batch.is_finished:
        release_connection()
        found = wake.waiting().wait(batch.id, seconds) if seconds > 0 else None
        for name, value in (found or {}).items():
            setattr(batch, name, value)
    return batch
