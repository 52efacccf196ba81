"""Makes all that is logged, traced and timed of a run bear the request that asked for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import time

import structlog

from execution.engine.domain import Outcome
from execution.models import Query
from observability import steps, tracing


@contextmanager
def run(query: Query, *, attempt: int) -> Iterator[None]:
    """Watch one attempt at a query, as part of the trace that submitted it."""
    known = {"query_id": str(query.id), "request_id": str(query.execution.get("request_id", ""))}
    with (
        structlog.contextvars.bound_contextvars(**known),
        tracing.entering("run", query.execution, attempt=attempt, **known) as span,
    ):
        if span.trace_id:
            structlog.contextvars.bind_contextvars(trace_id=span.trace_id)
        if attempt == 1 and query.started_at is not None:
            steps.queued(query.created_at.timestamp(), query.started_at.timestamp())
        try:
            yield
        finally:
            structlog.contextvars.unbind_contextvars("trace_id")


def engine(outcome: Outcome) -> None:
    """Add what the engine measured of itself to the trace: it has no network to tell it by."""
    ended = time()
    began = ended - outcome.engine_seconds
    if outcome.attach_seconds:
        tracing.past("engine attach", began - outcome.attach_seconds, began)
    tracing.past("engine first row", began, began + outcome.first_row_seconds)
    sizes = {"rows": outcome.rows, "bytes_read": outcome.bytes_read}
    tracing.past("engine run", began, ended, **sizes)
