"""Counts what became of queries, once it is committed: a change rolled back was never one."""

from __future__ import annotations

from collections.abc import Callable

from django.db import transaction

from execution.domain import Place, QueryState
from execution.engine.domain import Outcome
from execution.models import Query
from execution.weight import Priority
from observability import metrics


def submitted(query: Query) -> None:
    """Count an accepted query, and whether the result cache had its rows."""
    _committed(metrics.QUERIES_SUBMITTED.labels(query.place, _priority(query)).inc)
    if query.cached_from_id is not None:
        saved = int((query.plan.get("estimate") or {}).get("scan_bytes") or 0)
        _committed(metrics.RESULT_CACHE.labels("hit").inc)
        _committed(lambda: metrics.RESULT_CACHE_SAVED_BYTES.inc(saved))
        ended(query, QueryState.SUCCEEDED)
    elif query.place == Place.SERVER:
        _committed(metrics.RESULT_CACHE.labels("miss").inc)


def ended(query: Query, state: QueryState, problem: str = "") -> None:
    """Count the end of a query; `problem` is the code of a failed one."""
    _committed(metrics.QUERIES_ENDED.labels(state.value, query.place, _priority(query)).inc)
    if problem and state is QueryState.FAILED:
        _committed(metrics.QUERY_FAILURES.labels(problem).inc)


def wrote(outcome: Outcome, result_bytes: int) -> None:
    """Count what a server run read and wrote."""
    _committed(lambda: metrics.READ_BYTES.inc(outcome.bytes_read))
    _committed(lambda: metrics.RESULT_BYTES.inc(result_bytes))
    _committed(lambda: metrics.RESULT_ROWS.inc(outcome.rows))


def retried(reason: str) -> None:
    """Count a run that is queued again: `memory` or `worker`."""
    _committed(metrics.QUERY_RETRIES.labels(reason).inc)


def _priority(query: Query) -> str:
    return Priority.of_rank(query.priority).value


def _committed(count: Callable[[], None]) -> None:
    transaction.on_commit(count, robust=True)
