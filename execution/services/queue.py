"""PostgreSQL rows are the queue; the broker only says "there is work", and may be down."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import structlog
from celery import current_app
from django.utils import timezone
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from execution.domain import QueryState
from execution.models import Query
from execution.services import slots

RUN_QUERIES = "execution.run_queries"
EXPORT_RESULT = "execution.export_result"
WRITE_EXTRACTS = "execution.write_extracts"
MESSAGE_SECONDS = 60
"""A message is worth nothing later: the sweep has said it again by then."""
BROKER_DOWN = (
    "The message broker cannot be reached. The query is kept and starts as soon as it is back."
)

log = structlog.get_logger(__name__)


def say_it_waits(query_id: UUID) -> str:
    """Tell the workers that a query waits; return a notice for the person where that failed.

    Which query a worker takes then, admission decides: see `execution.services.admission`. A
    queued row's `heartbeat_at` is when it was last announced; the sweep repeats what is old. A
    new row is saved as announced: who dies between the two costs the query one sweep's patience.
    """
    if slots.call() or publish(RUN_QUERIES):
        return ""
    _note(query_id, None)
    return BROKER_DOWN


def say_again(query_id: UUID) -> bool:
    """Tell the workers once more that a query waits, and note when; False without a broker.

    By Celery, which reaches workers whose slots hear no calls.
    """
    is_said = publish(RUN_QUERIES)
    if is_said:
        _note(query_id, timezone.now())
    return is_said


def _note(query_id: UUID, announced_at: datetime | None) -> None:
    waiting = Query.objects.filter(id=query_id, state=QueryState.QUEUED)
    waiting.update(heartbeat_at=announced_at)


def wake_another() -> None:
    """Tell one more worker slot to look: something waits."""
    if not slots.call():
        publish(RUN_QUERIES)


def publish(task: str, *arguments: str) -> bool:
    """Send one message, without waiting for a broker that is down; tell whether it left."""
    try:
        current_app.send_task(task, args=arguments, expires=MESSAGE_SECONDS)
    except (OperationalError, RedisError, OSError) as error:
        log.warning("broker_unreachable", task=task, error=type(error).__name__)
        return False
    return True
