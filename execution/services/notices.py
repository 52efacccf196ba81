"""When followers of a query are told: after the commit that made a change true, never before."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from uuid import UUID

from django.db import transaction
from redis.client import Pipeline

from execution.domain import QueryState
from execution.engine.domain import Progress
from execution.notices import sender
from execution.notices.domain import Notice


def tell(
    query_id: UUID, state: QueryState, first: Callable[[Pipeline], object] | None = None
) -> None:
    """Say, once the transaction is committed, that the query's row is worth a look.

    `first` is what whoever hears it should find in the broker.
    """
    notice = Notice(query_id, QueryState(state))
    transaction.on_commit(partial(sender.send, notice, first), robust=True)


def tell_progress(query_id: UUID, progress: Progress) -> None:
    """Say at once how far a running query is; its row may say so later."""
    sender.send(Notice(query_id, QueryState.RUNNING, progress))
