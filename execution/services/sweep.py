"""What the schedule repairs: lost messages, dead workers, devices that never answered."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from audit import services as audit
from audit.domain import Event
from execution import ledger
from execution.domain import ExportState, QueryState
from execution.engine.problems import QueryCancelled
from execution.extracts.domain import ExtractState
from execution.models import Extract, Grant, Query, ResultExport
from execution.services import extracts, notices, tallies
from execution.services.queue import EXPORT_RESULT, WRITE_EXTRACTS, publish, say_again
from problems import Problem

ATTEMPTS = 2
AT_ONCE = 500
MESSAGES_AT_ONCE = 4
"""Enough to wake every slot: each that finds a query wakes another while something waits."""
REPEAT_SECONDS = 5
"""An announcement may wait this long in the broker before it is repeated."""


class WorkerGone(Problem):
    """The worker that ran the query stopped answering, twice."""

    code: ClassVar[str] = "worker-gone"
    status: ClassVar[int] = 503
    title: ClassVar[str] = "The worker that ran the query is gone"


class ReceiptMissing(Problem):
    """The device did not say how its run ended."""

    code: ClassVar[str] = "receipt-missing"
    status: ClassVar[int] = 504
    title: ClassVar[str] = "The device did not report back"


def sweep() -> dict[str, int]:
    """Repair what was left behind, each row in a transaction of its own; return the counts."""
    return {
        "recovered": recover_stale(),
        "expired": expire_delegated(),
        "announced": announce_waiting(),
        "exports": announce_exports(),
        "extracts": announce_extracts(),
    }


def recover_stale() -> int:
    """Queue again, or fail, the queries whose worker stopped saying that it lives."""
    limit = timezone.now() - timedelta(seconds=settings.HEARTBEAT_TIMEOUT_SECONDS)
    stale = Query.objects.filter(state=QueryState.RUNNING, heartbeat_at__lt=limit)
    rows = stale.select_related("workspace", "user", "service_account")
    return sum(_recover(query) for query in rows[:AT_ONCE])


@audit.service
def _recover(query: Query) -> bool:
    """Give one abandoned query its second chance, or its end; False where it moved meanwhile."""
    held = Query.objects.filter(
        id=query.id, state=QueryState.RUNNING, heartbeat_at=query.heartbeat_at
    )
    why = f"The worker {query.worker} stopped answering while it ran the query."
    if query.cancel_requested_at is None and query.attempts < ATTEMPTS:
        moved = held.update(state=QueryState.QUEUED, heartbeat_at=None, worker="")
        if moved:
            notices.tell(query.id, QueryState.QUEUED)
            tallies.retried("worker")
        return bool(moved) and _record(query, Event.QUERY_RETRIED, {"why": why})
    problem, state, event = _end_of(query, why)
    moved = held.update(state=state, problem=problem.as_dict(), finished_at=timezone.now())
    if moved:
        notices.tell(query.id, state)
        tallies.ended(query, state, problem.code)
    return bool(moved) and _record(query, event, {"problem": problem.as_dict()})


def _end_of(query: Query, why: str) -> tuple[Problem, QueryState, Event]:
    """Return how a query ends that gets no further attempt."""
    if query.cancel_requested_at is not None:
        cancelled = QueryCancelled("It was stopped because someone asked for that.")
        return cancelled, QueryState.CANCELLED, Event.QUERY_CANCELLED
    gone = WorkerGone(
        f"{why} It was tried {query.attempts} times.",
        hint="Run it again; if it persists, ask for less, or tell an operator.",
    )
    return gone, QueryState.FAILED, Event.QUERY_FAILED


def _record(query: Query, event: Event, what: dict[str, Any]) -> bool:
    audit.record(
        actor=ledger.principal_of(query),
        event=event,
        target=ledger.query(query),
        after={"attempt": query.attempts} | what,
    )
    return True


def expire_delegated() -> int:
    """Fail the delegated queries whose grant ended, or was never fetched, without a receipt."""
    now = timezone.now()
    before = now - timedelta(seconds=settings.GRANT_TTL_SECONDS)
    unfetched = Q(grant__isnull=True, created_at__lt=before) & (
        Q(started_at__isnull=True) | Q(started_at__lt=before)  # that waited for an extract
    )
    late = Query.objects.filter(state=QueryState.DELEGATED)
    late = late.filter(Q(grant__expires_at__lt=now) | unfetched)
    rows = late.select_related("workspace", "user", "service_account", "device")
    return sum(_expire(query) for query in rows[:AT_ONCE])


@audit.service
def _expire(query: Query) -> bool:
    """End one delegated query that nobody reported on."""
    problem = ReceiptMissing(
        "The permission to read the files ended and no receipt came back.",
        hint="The run may have ended well on the device; a late receipt is still accepted.",
    )
    ended = Query.objects.filter(id=query.id, state=QueryState.DELEGATED).update(
        state=QueryState.FAILED, problem=problem.as_dict(), finished_at=timezone.now()
    )
    if not ended:
        return False
    Grant.objects.filter(query=query, revoked_at__isnull=True).update(revoked_at=timezone.now())
    notices.tell(query.id, QueryState.FAILED)
    tallies.ended(query, QueryState.FAILED, problem.code)
    return _record(query, Event.QUERY_FAILED, {"problem": problem.as_dict()})


def announce_waiting() -> int:
    """Say again that something waits, where some of it was not announced of late."""
    limit = timezone.now() - timedelta(seconds=REPEAT_SECONDS)
    waiting = Query.objects.filter(state=QueryState.QUEUED)
    waiting = waiting.filter(Q(heartbeat_at__isnull=True) | Q(heartbeat_at__lt=limit))
    announced = 0
    for query_id in waiting.values_list("id", flat=True).order_by()[:MESSAGES_AT_ONCE]:
        if not say_again(query_id):
            break  # the broker is down: the next sweep tries again
        announced += 1
    return announced


def announce_exports() -> int:
    """Say again which exports wait, those of dead workers included."""
    limit = timezone.now() - timedelta(seconds=settings.HEARTBEAT_TIMEOUT_SECONDS)
    ResultExport.objects.filter(state=ExportState.RUNNING, heartbeat_at__lt=limit).update(
        state=ExportState.QUEUED, heartbeat_at=None
    )
    waiting = ResultExport.objects.filter(state=ExportState.QUEUED, heartbeat_at__isnull=True)
    announced = 0
    for export_id in waiting.values_list("id", flat=True)[:AT_ONCE]:
        if not publish(EXPORT_RESULT, str(export_id)):
            break
        announced += 1
    return announced


def announce_extracts() -> int:
    """Say again that extracts wait to be written, those of dead workers included.

    One whose writers died as often as a query's may is given up.
    """
    limit = timezone.now() - timedelta(seconds=settings.HEARTBEAT_TIMEOUT_SECONDS)
    preparing = Extract.objects.filter(state=ExtractState.PREPARING)
    stale = preparing.filter(heartbeat_at__lt=limit)
    for row in stale.filter(attempts__gte=ATTEMPTS).select_related("workspace")[:AT_ONCE]:
        why = f"The worker {row.worker} stopped answering while it wrote the extract."
        gone = WorkerGone(f"{why} It was tried {row.attempts} times.")
        extracts.fail(held=extracts.Writing(row, row.attempts), problem=gone)
    stale.filter(attempts__lt=ATTEMPTS).update(heartbeat_at=None, worker="")
    waiting = preparing.filter(heartbeat_at__isnull=True).count()
    return waiting if waiting and publish(WRITE_EXTRACTS) else 0
