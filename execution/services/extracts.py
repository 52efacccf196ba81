"""The life of extracts: asked for by queries, written once for all who wait, handed to each.

A query waits in `preparing` until every extract it reads is ready; then it is `delegated` like
any local run. Where one cannot be made, a query that may choose its place goes to the server.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from accounts import keys
from audit import services as audit
from audit.domain import Event
from catalog import storage
from execution import ledger
from execution.domain import Place, QueryState, RequestedPlace
from execution.engine.domain import Progress
from execution.engine.problems import QueryCancelled
from execution.extracts.domain import ExtractState, Offer
from execution.extracts.parquet_file import ExtractTooLarge, Written
from execution.models import Extract, Query
from execution.placement import fell_back
from execution.services import notices, tallies
from execution.services.queue import WRITE_EXTRACTS, publish, say_again
from problems import Problem

LIVE = (ExtractState.PREPARING, ExtractState.READY)
TRIES = 3
AGAIN_SECONDS = 60
"""So long nobody tries again what failed; what was too large stays so for longer."""
TOO_LARGE_SECONDS = 3600

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Writing:
    """The right to write an extract once: attempt `attempt`, and no other."""

    extract: Extract
    attempt: int

    @property
    def rows(self) -> QuerySet[Extract]:
        """Return the row while this right holds."""
        return Extract.objects.filter(
            id=self.extract.id, state=ExtractState.PREPARING, attempts=self.attempt
        )

    @property
    def key(self) -> str:
        """Return where this attempt writes: never over what another attempt wrote."""
        return f"extracts/{self.extract.workspace_id}/{self.extract.id}-{self.attempt}.parquet"


def attach(query: Query, offers: Sequence[Offer]) -> None:
    """Have a saved local query read these extracts, or wait for them.

    Call it within the transaction that saved the query: the rows stay locked until it ends, so
    that no extract becomes ready between.
    """
    if not offers or query.state != QueryState.DELEGATED:
        return
    ordered = sorted(offers, key=lambda offer: offer.digest)  # two that ask lock in one order
    rows = [_row_of(query, offer) for offer in ordered]
    query.extracts.set(rows)
    if all(row.state == ExtractState.READY for row in rows):
        query.execution = _reading(query.execution, rows)
    else:
        query.state = QueryState.PREPARING
        query.progress = Progress().as_dict()
        transaction.on_commit(lambda: publish(WRITE_EXTRACTS), robust=True)
    query.save(update_fields=["state", "execution", "progress"])


def _row_of(query: Query, offer: Offer) -> Extract:
    """Return the locked row of an extract, made where there is none."""
    live = Extract.objects.filter(state__in=LIVE).select_for_update(no_key=True)
    now = timezone.now()
    if offer.extract_id and (row := live.filter(id=offer.extract_id).first()):
        row.last_used_at, row.expires_at = now, _expiry(row, now)
        row.save(update_fields=["last_used_at", "expires_at"])
        return row
    for _ in range(TRIES):  # one that fails between the two statements is made again
        Extract.objects.bulk_create([_new(query, offer)], ignore_conflicts=True)
        if row := live.filter(digest=offer.digest).first():
            return row
    message = f"the extract {offer.digest} could not be asked for"
    raise RuntimeError(message)


def _expiry(row: Extract, now: datetime) -> datetime | None:
    if row.state != ExtractState.READY:
        return row.expires_at
    return now + timedelta(seconds=settings.EXTRACT_TTL_SECONDS)


def _new(query: Query, offer: Offer) -> Extract:
    content = offer.content.as_json()
    return Extract(
        workspace_id=query.workspace_id,
        catalog_id=offer.catalog_id,
        table_key=offer.table_key,
        table_label=offer.table_label,
        snapshot_id=offer.snapshot_id,
        committed_at=offer.committed_at,
        fingerprint=offer.fingerprint,
        columns=content["columns"],
        filters=content["filters"],
        digest=offer.digest,
        job=dict(offer.job),
    )


def _reading(execution: Json, extracts: Iterable[Extract]) -> Json:
    """Return the record of a query with the extracts in their tables' places."""
    by_key = {row.table_key: row for row in extracts}
    return execution | {
        "tables": [
            entry | {"extract": _read(by_key[entry["table_key"]])}
            if entry["table_key"] in by_key
            else entry
            for entry in execution["tables"]
        ]
    }


def _read(row: Extract) -> Json:
    """Return all that a slice must know of an extract."""
    return {
        "id": str(row.id),
        "bucket_name": storage.hosted().bucket,
        "key": row.key,
        "size_bytes": row.size_bytes,
        "rows": row.row_count,
        "footer_bytes": row.footer_bytes,
        "columns": row.columns,
        "is_encrypted": bool(row.sealed_secret),
    }


def claim(worker: str) -> Writing | None:
    """Take the extract that has waited longest; None where nothing waits."""
    waiting = Extract.objects.filter(state=ExtractState.PREPARING, heartbeat_at__isnull=True)
    for extract_id in waiting.order_by("created_at").values_list("id", flat=True)[:TRIES]:
        taken = waiting.filter(id=extract_id).update(
            attempts=F("attempts") + 1, worker=worker, heartbeat_at=timezone.now()
        )
        if taken:
            row = Extract.objects.select_related("workspace__organization").get(id=extract_id)
            return Writing(row, row.attempts)
    return None


def waiting_for(extract_id: UUID) -> QuerySet[Query]:
    """Return the queries that wait for an extract, the first to ask first."""
    rows = Query.objects.filter(extracts=extract_id, state=QueryState.PREPARING)
    return rows.order_by("created_at")


def beat(held: Writing, progress: Progress) -> None:
    """Say that the writing goes on, to the row and to all who wait."""
    held.rows.update(heartbeat_at=timezone.now())
    for query_id in waiting_for(held.extract.id).values_list("id", flat=True):
        Query.objects.filter(id=query_id, state=QueryState.PREPARING).update(
            progress=progress.as_dict()
        )
        notices.tell(query_id, QueryState.PREPARING)


def is_wanted(held: Writing) -> bool:
    """Tell whether the claim holds and someone still waits."""
    return held.rows.exists() and waiting_for(held.extract.id).exists()


@audit.service
def succeed(*, held: Writing, written: Written) -> bool:
    """Make an extract ready and delegate the queries that waited for no other; else False."""
    now = timezone.now()
    facts = {"size_bytes": written.size_bytes, "row_count": written.rows}
    ended = held.rows.update(
        state=ExtractState.READY,
        key=held.key,
        footer_bytes=written.footer_bytes,
        sealed_secret=keys.seal(written.secret, held.extract.binding) if written.secret else b"",
        column_bytes=written.column_bytes,
        ready_at=now,
        last_used_at=now,
        expires_at=now + timedelta(seconds=settings.EXTRACT_TTL_SECONDS),
        **facts,
    )
    if not ended:
        return False
    extract = held.extract
    audit.record(
        actor=ledger.system_of(extract.workspace),
        event=Event.EXTRACT_CREATED,
        target=ledger.extract(extract),
        after=facts | _described(extract),
    )
    for query in waiting_for(extract.id).select_for_update(of=("self",)):
        _delegate(query, now)
    return True


def _described(extract: Extract) -> Json:
    """Return what the ledger keeps of an extract: what it holds, and under which rights."""
    return {
        "table": extract.table_label,
        "snapshot_id": extract.snapshot_id,
        "fingerprint": extract.fingerprint,
        "columns": extract.columns,
        "filters": extract.filters,
    }


def _delegate(query: Query, now: datetime) -> None:
    """Let the device run a query whose extracts are all ready."""
    if query.extracts.exclude(state=ExtractState.READY).exists():
        return
    query.execution = _reading(query.execution, query.extracts.all())
    query.state = QueryState.DELEGATED
    query.started_at = now
    query.save(update_fields=["execution", "state", "started_at"])
    notices.tell(query.id, QueryState.DELEGATED)


@audit.service
def fail(*, held: Writing, problem: Problem) -> bool:
    """End the writing of an extract, and help those who waited; False where the claim was lost.

    One that was stopped because nobody waited is given up silently; where someone began to wait
    meanwhile, it is written after all.
    """
    stopped = isinstance(problem, QueryCancelled)
    waiting = list(waiting_for(held.extract.id).select_for_update(of=("self",)))
    if stopped and waiting:
        again = held.rows.update(heartbeat_at=None, worker="")
        transaction.on_commit(lambda: publish(WRITE_EXTRACTS), robust=True)
        return bool(again)
    seconds = TOO_LARGE_SECONDS if isinstance(problem, ExtractTooLarge) else AGAIN_SECONDS
    ended = held.rows.update(
        state=ExtractState.FAILED,
        problem=problem.as_dict(),
        expires_at=timezone.now() + timedelta(seconds=0 if stopped else seconds),
    )
    if not ended:
        return False
    audit.record(
        actor=ledger.system_of(held.extract.workspace),
        event=Event.EXTRACT_FAILED,
        target=ledger.extract(held.extract),
        after={"attempt": held.attempt, "problem": problem.as_dict()},
    )
    for query in waiting:
        _go_on_without(query, problem)
    return True


def _go_on_without(query: Query, problem: Problem) -> None:
    """Send a query to the server where it may run there by its own wish, else fail it."""
    is_auto = query.plan.get("requested") == RequestedPlace.AUTO
    why = f"The extract it was to read could not be made: {problem.detail}"
    if is_auto:
        query.place, query.state, query.device = Place.SERVER, QueryState.QUEUED, None
        query.plan = fell_back(query.plan, f"{why} The server runs it.")
    else:
        query.state, query.problem = QueryState.FAILED, problem.as_dict()
        query.finished_at = timezone.now()
        tallies.ended(query, QueryState.FAILED, problem.code)
    query.save(update_fields=["place", "state", "device", "plan", "problem", "finished_at"])
    audit.record(
        actor=ledger.principal_of(query),
        event=Event.QUERY_RETRIED if is_auto else Event.QUERY_FAILED,
        target=ledger.query(query),
        after={"attempt": query.attempts, "why": why, "problem": problem.as_dict()},
    )
    notices.tell(query.id, QueryState(query.state))
    if is_auto:
        transaction.on_commit(lambda: say_again(query.id), robust=True)
