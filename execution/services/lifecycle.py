"""A server run from claim to end: every step is one conditional UPDATE, so that two never win."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import F, QuerySet
from django.utils import timezone
from redis.client import Pipeline

from accounts.composed import Composed
from accounts.domain import Actor
from audit import services as audit
from audit.domain import Event
from execution import ledger
from execution.domain import QueryState
from execution.engine.domain import Outcome, Progress
from execution.engine.problems import QueryCancelled, engine_words
from execution.models import Grant, Query
from execution.services import corrections, notices, tallies
from execution.weight import SLOT_BYTES
from governance import securables
from governance.domain import Action
from governance.services import authorize
from problems import Conflict, Problem


class AlreadyOver(Conflict):
    """The query has ended; there is nothing left to stop."""

    code = "query-over"
    title = "The query is over"


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to run a query once: attempt `attempt` of `query`, and no other."""

    query: Query
    attempt: int
    principal: Actor
    """Who asked for the query, as they were when it was claimed."""

    @property
    def rows(self) -> QuerySet[Query]:
        """Return the row while this claim holds: an UPDATE of it tells whether it does."""
        return Query.objects.filter(
            id=self.query.id, state=QueryState.RUNNING, attempts=self.attempt
        )


@audit.service
def claim(*, query_id: UUID, worker: str) -> Claim | None:
    """Take a queued query for `worker`, whoever's turn it is; None where it is not queued."""
    now = timezone.now()
    taken = Query.objects.filter(id=query_id, state=QueryState.QUEUED).update(
        state=QueryState.RUNNING,
        attempts=F("attempts") + 1,
        worker=worker,
        started_at=now,
        heartbeat_at=now,
        progress=Progress().as_dict(),
    )
    return begin(query_id) if taken else None


_begun = Composed(
    lambda query: (
        Query.objects.select_related("workspace__organization", "user", "service_account", "device")
        .filter(id=query)
        .order_by()
    )
)


def begin(query_id: UUID) -> Claim:
    """Record that a query was taken, in the transaction that took it; return the claim."""
    (query,) = _begun.ask(query=query_id)
    principal = ledger.principal_of(query)
    audit.record(
        actor=principal,
        event=Event.QUERY_STARTED,
        target=ledger.query(query),
        after={"attempt": query.attempts, "worker": query.worker},
    )
    notices.tell(query_id, QueryState.RUNNING)
    return Claim(query, query.attempts, principal)


def heartbeat(held: Claim, progress: Progress) -> bool:
    """Say that the run goes on, and how far it is; tell whether the claim still holds."""
    beaten = held.rows.update(heartbeat_at=timezone.now(), progress=progress.as_dict())
    return bool(beaten)


def should_stop(held: Claim) -> bool:
    """Tell whether someone asked for the run to stop, or the claim was lost to a sweep."""
    return not held.rows.filter(cancel_requested_at__isnull=True).exists()


ENDED = (
    "run_seconds", "columns", "progress", "result_key", "result_expires_at", "heartbeat_at",
    "finished_at", "row_count", "result_bytes", "truncated", "bytes_read", "engine_seconds",
)  # fmt: skip
SUCCEED = f"""
UPDATE execution_query SET state = 'succeeded', {", ".join(f"{name} = %s" for name in ENDED)}
 WHERE id = %s AND state = 'running' AND attempts = %s
RETURNING id
"""  # noqa: S608 - our own names
"""Spelled out because every query waits for it; the claim decides, as in `Claim.rows`."""


@audit.service
def succeed(
    *,
    held: Claim,
    outcome: Outcome,
    result_key: str,
    result_bytes: int,
    landed: Callable[[], None] = lambda: None,
    at_hand: Callable[[Pipeline], object] | None = None,
) -> bool:
    """End a run with its result; False where the claim was lost, and nothing changed.

    Nothing is committed before `landed` returns: it raises where the rows are not there. After
    that `at_hand` keeps them in the broker for who is told.
    """
    now = timezone.now()
    facts = {
        "row_count": outcome.rows,
        "result_bytes": result_bytes,
        "truncated": outcome.truncated,
        "bytes_read": outcome.bytes_read,
        "engine_seconds": outcome.engine_seconds,
    }
    seconds = _seconds(held.query, now)
    columns = [{"name": name, "type": kind} for name, kind in outcome.columns]
    progress = Progress(100.0, outcome.rows, outcome.bytes, outcome.bytes_read).as_dict()
    changed = facts | {
        "columns": json.dumps(columns),
        "finished_at": now,
        "heartbeat_at": now,
        "progress": json.dumps(progress),
        "result_expires_at": now + timedelta(seconds=settings.RESULT_TTL_SECONDS),
        "result_key": result_key,
        "run_seconds": seconds,
    }
    ended = audit.record_change(
        SUCCEED,
        [*(changed[name] for name in ENDED), held.query.id, held.attempt],
        actor=held.principal,
        event=Event.QUERY_SUCCEEDED,
        target=ledger.query(held.query),
        after=facts | {"attempt": held.attempt},
    )
    if ended:
        notices.tell(held.query.id, QueryState.SUCCEEDED, at_hand)
        tallies.ended(held.query, QueryState.SUCCEEDED)
        tallies.wrote(outcome, result_bytes)
        if not outcome.truncated:  # half a run teaches nothing
            corrections.learn_soon(held.query, seconds=seconds)
        landed()
    return ended


def _seconds(query: Query, now: datetime) -> float:
    """Return how long the run took since it was claimed."""
    return (now - query.started_at).total_seconds() if query.started_at else 0.0


@audit.service
def fail(*, held: Claim, problem: Problem) -> bool:
    """End a run with its problem; False where the claim was lost, and nothing changed."""
    is_cancelled = isinstance(problem, QueryCancelled)
    state = QueryState.CANCELLED if is_cancelled else QueryState.FAILED
    ended = held.rows.update(
        state=state,
        problem=problem.as_dict(),
        engine_error=engine_words(problem),
        finished_at=timezone.now(),
    )
    if ended:
        audit.record(
            actor=held.principal,
            event=Event.QUERY_CANCELLED if is_cancelled else Event.QUERY_FAILED,
            target=ledger.query(held.query),
            after={"attempt": held.attempt, "problem": problem.as_dict()},
        )
        notices.tell(held.query.id, state)
        tallies.ended(held.query, state, problem.code)
    return bool(ended)


@audit.service
def grow(*, held: Claim) -> bool:
    """Queue a run that outgrew its memory again, once, with all that its workspace allows.

    False where it had that already, or had its second chance, or lost its claim.
    """
    most = held.query.workspace.query_memory_bytes
    if held.attempt > 1 or SLOT_BYTES + held.query.slot_bytes >= most:
        return False
    moved = held.rows.update(
        state=QueryState.QUEUED,
        is_heavy=True,
        slot_bytes=-(-most // SLOT_BYTES) * SLOT_BYTES - SLOT_BYTES,
        heartbeat_at=None,
        worker="",
    )
    if moved:
        audit.record(
            actor=held.principal,
            event=Event.QUERY_RETRIED,
            target=ledger.query(held.query),
            after={"attempt": held.attempt, "why": "It needs more memory than was estimated."},
        )
        notices.tell(held.query.id, QueryState.QUEUED)
        tallies.retried("memory")
    return bool(moved)


@audit.service
def cancel_query(*, actor: Actor, query: Query) -> Query:
    """Stop a query: at once where nothing runs yet, within half a second where it does.

    A delegated query's grant ends with it. Raises `AccessDenied` for another's query without
    `query.manage`, `AlreadyOver` for one that has ended.
    """
    if actor.id not in {query.user_id, query.service_account_id}:
        authorize(actor, Action.QUERY_MANAGE, securables.workspace(query.workspace))
    now = timezone.now()
    before = query.state
    rows = Query.objects.filter(id=query.id)
    stopped = rows.filter(
        state__in=[QueryState.QUEUED, QueryState.PREPARING, QueryState.DELEGATED]
    ).update(
        state=QueryState.CANCELLED,
        cancel_requested_at=now,
        finished_at=now,
        problem=QueryCancelled("It was stopped before it ran to its end.").as_dict(),
    )
    asked = 0 if stopped else rows.filter(state=QueryState.RUNNING).update(cancel_requested_at=now)
    if not stopped and not asked:
        raise AlreadyOver("The query has already ended; its state did not change.")
    Grant.objects.filter(query=query, revoked_at__isnull=True).update(revoked_at=now)
    audit.record(
        actor=actor,
        event=Event.QUERY_CANCELLED,
        target=ledger.query(query),
        before=before,
        after="cancelled" if stopped else "stopping",
    )
    query.refresh_from_db()
    notices.tell(query.id, QueryState(query.state))
    if stopped:
        tallies.ended(query, QueryState.CANCELLED)
    return query
