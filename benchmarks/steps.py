"""Where the time of queries went: by their rows, and by the clock of who asked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from benchmarks.stage import percentiles


@dataclass(frozen=True, slots=True)
class Asked:
    """A query as its client saw it, by the clock of the machine.

    `answered` is when the rows had come, `read` when they were Python values.
    """

    query_id: str
    started: float
    answered: float
    read: float


def steps(asked: Iterable[Asked]) -> dict[str, Any]:
    """Return p50 and p95 of each step of the queries that ran to an end on the server.

    *submitted to created* is authentication, planning and the row; *created to started* the queue;
    *started to finished* the worker, of which `engine` is what the engine itself took;
    *finished to answered* is the way of the answer and of the rows, *answered to read* the client.
    """
    from execution.models import Query

    by_id = {one.query_id: one for one in asked}
    found: dict[str, list[float]] = {}
    for row in Query.objects.filter(
        id__in=by_id, started_at__isnull=False, finished_at__isnull=False
    ):
        for name, seconds in _of(row, by_id[str(row.id)]).items():
            found.setdefault(name, []).append(seconds * 1000)
    return {name: percentiles(values) for name, values in found.items()}


def _of(row: Any, asked: Asked) -> dict[str, float]:
    created, started, finished = map(_seconds, (row.created_at, row.started_at, row.finished_at))
    return {
        "submitted_to_created": created - asked.started,
        "created_to_started": started - created,
        "started_to_finished": finished - started,
        "engine": row.engine_seconds or 0.0,
        "finished_to_answered": asked.answered - finished,
        "answered_to_read": asked.read - asked.answered,
    }


def _seconds(moment: datetime) -> float:
    return moment.timestamp()
