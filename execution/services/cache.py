"""Answers a query from the rows of an earlier one that had to be the same.

Rights are decided afresh for each submission, before anything is looked up here, and again when
rows are read: what is shared is an object in the bucket, never a permission.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import structlog
from django.db.models import QuerySet
from django.utils import timezone

from catalog import storage
from execution import reuse
from execution.domain import Place, Plan, QueryState, RequestedPlace
from execution.engine.domain import Progress
from execution.models import Query
from problems import Problem
from workspaces.models import Workspace

SECONDS_LEFT = 60
"""A result that ends sooner answers nobody: the rows would be gone before they are read."""

WHY = "The server has the answer of an equal query already."

log = structlog.get_logger(__name__)


def answer(query: Query, plan: Plan, *, look: bool) -> bool:
    """Fill the unsaved `query` from an earlier result, where there is an equal one.

    Call it within the transaction that saves the row: until that ends, the rows found cannot
    expire. Without `look` the query only leaves its mark for later ones.
    """
    if plan.requested is RequestedPlace.LOCAL:
        return False
    key = reuse.key_of(plan, query.workspace)
    query.reuse_key = key if query.place == Place.SERVER else ""
    source = _held(query, key) if key and look else None
    if source is None:
        return False
    query.reuse_key = key
    _fill(query, source)
    return True


def may_answer(workspace: Workspace, request_digest: str) -> bool:
    """Tell, without a plan, whether the very same request may be answered from kept rows.

    A hint for who would otherwise be turned away before planning; `answer` decides.
    """
    rows = Query.objects.filter(workspace=workspace, request_digest=request_digest)
    rows = rows.filter(state=QueryState.SUCCEEDED).exclude(reuse_key="")
    return rows.filter(result_expires_at__gt=timezone.now()).exists()


def _held(query: Query, key: str) -> Query | None:
    """Return an earlier query with those rows, locked so that they cannot expire meanwhile."""
    found = _equal(query, key).order_by("-result_expires_at").first()
    if found is None or not _is_whole(found):
        return None
    locked = _equal(query, key).filter(id=found.id).select_for_update(no_key=True)
    return locked.first()


def _equal(query: Query, key: str) -> QuerySet[Query]:
    """Return the queries of the workspace whose complete result has that digest and time left."""
    rows = Query.objects.filter(workspace_id=query.workspace_id, reuse_key=key, truncated=False)
    rows = rows.filter(state=QueryState.SUCCEEDED).exclude(result_key="").defer("execution")
    return rows.filter(result_expires_at__gt=timezone.now() + timedelta(seconds=SECONDS_LEFT))


def _is_whole(source: Query) -> bool:
    """Tell whether the object is there in its full size; what is not is never tried again."""
    try:
        size = storage.hosted().size(source.result_key)
    except storage.ObjectMissing:
        size = None
    except Problem:  # the storage does not answer: the query runs, or fails, on its own
        return False
    if size != source.result_bytes:
        log.warning("cached_result_damaged", query_id=str(source.id), found_bytes=size)
        Query.objects.filter(result_key=source.result_key).update(reuse_key="")
        return False
    return True


def _fill(query: Query, source: Query) -> None:
    """Make `query` one that has succeeded with the rows of `source`, for as long as they last."""
    now = timezone.now()
    query.place = Place.SERVER
    query.device_id = None
    query.state = QueryState.SUCCEEDED
    query.plan = query.plan | _told(query.plan)
    query.columns = source.columns
    query.row_count = source.row_count
    query.result_bytes = source.result_bytes
    query.result_key = source.result_key
    query.result_expires_at = source.result_expires_at
    query.progress = Progress(100.0, source.row_count or 0, 0).as_dict()
    query.bytes_read, query.engine_seconds = 0, 0.0
    query.started_at = query.finished_at = now
    query.cached_from_id = source.cached_from_id or source.id
    query.cached_at = source.cached_at or source.finished_at


def _told(plan: dict[str, Any]) -> dict[str, Any]:
    """Return what the plan shows of it: the place, and the reason that settled it."""
    others = [known | {"decisive": False} for known in plan.get("reasons", [])]
    return {
        "place": Place.SERVER.value,
        "why": WHY,
        "reasons": [
            {
                "code": "cached",
                "text": WHY,
                "favours": Place.SERVER.value,
                "decisive": True,
            },
            *others,
        ],
    }


def event_of(query: Query) -> dict[str, Any]:
    """Return what the ledger keeps of a query that was answered so."""
    return {
        "row_count": query.row_count,
        "result_bytes": query.result_bytes,
        "truncated": False,
        "cached": {"from": str(query.cached_from_id), "at": _iso(query)},
    }


def _iso(query: Query) -> str:
    return query.cached_at.isoformat() if query.cached_at else ""
