"""The end of keeping results: by their time, for want of room, and of objects nobody names.

Several queries may name one object, where later ones were answered from the first. Each lets go
in a transaction of its own, and whoever finds that nobody holds the object deletes it: of two
that let go at once, at least the later one finds that. A cache hit locks the row it copies, so
that a row that lets go first cannot be copied, and one that was copied is not the last.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import Max, QuerySet
from django.utils import timezone

from accounts.domain import SYSTEM
from audit import services as audit
from audit.domain import Event
from catalog import storage
from execution import ledger, selectors
from execution.domain import ResultFormat
from execution.models import Query, ResultExport, export_key
from workspaces.models import Workspace

PREFIX = "results/"
AT_ONCE = 1000


def expire_results() -> int:
    """Let the results go whose time is over; the queries themselves stay."""
    expired = Query.objects.filter(result_expires_at__lte=timezone.now()).exclude(result_key="")
    return let_go(expired)


def let_go(queries: QuerySet[Query]) -> int:
    """Take the rows away from some of `queries`, and delete what nobody holds; return how many."""
    held = list(queries.values_list("id", "result_key")[:AT_ONCE])
    return sum(_let_go(query_id, key) for query_id, key in held)


def make_room(workspace: Workspace) -> int:
    """End the results longest unused while the workspace keeps more than its quota.

    Use is a run or an answer from the cache. The newest result stays whatever its size: a run
    would be for nothing otherwise, and `max_result_bytes` bounds it. Returns how many queries
    lost their rows; each is in the ledger.
    """
    excess = selectors.stored_bytes(workspace) - workspace.max_stored_bytes
    if excess <= 0:
        return 0
    ended = 0
    kept = Query.objects.filter(workspace=workspace).exclude(result_key="")
    by_use = kept.values("result_key").annotate(used_at=Max("finished_at")).order_by("used_at")
    for key in list(by_use.values_list("result_key", flat=True))[:-1]:
        if excess <= 0:
            break
        rows = Query.objects.filter(result_key=key).select_related("workspace")
        excess -= selectors.bytes_of(rows)
        ended += sum(_evict(query) and _let_go(query.id, key) for query in rows)
    return ended


def sweep_orphans() -> int:
    """Delete what a crash left in the bucket; return how many objects and unfinished uploads.

    Only what is older than any result may be: a younger object may be about to get its row.
    """
    before = timezone.now() - timedelta(seconds=settings.RESULT_TTL_SECONDS)
    found = [key for key in storage.hosted().keys_before(PREFIX, before) if not _is_held(key)]
    for key in found:
        storage.hosted().delete(key)
    return len(found) + storage.hosted().abort_uploads_before(PREFIX, before)


def _let_go(query_id: UUID, key: str) -> int:
    ResultExport.objects.filter(query_id=query_id).delete()
    gone = Query.objects.filter(id=query_id, result_key=key).update(result_key="")
    if not Query.objects.filter(result_key=key).exists():
        _delete(key)
    return gone


@audit.service
def _evict(query: Query) -> bool:
    """Note that a query loses its rows before their time; False where it has lost them."""
    now = timezone.now()
    rows = Query.objects.filter(id=query.id, result_key=query.result_key)
    if not rows.update(result_expires_at=now, evicted_at=now):
        return False
    audit.record(
        actor=replace(SYSTEM, organization_id=query.workspace.organization_id),
        event=Event.RESULT_EVICTED,
        target=ledger.query(query),
        before={"result_expires_at": _iso(query), "result_bytes": query.result_bytes},
        after={"max_stored_bytes": query.workspace.max_stored_bytes},
    )
    return True


def _iso(query: Query) -> str:
    return query.result_expires_at.isoformat() if query.result_expires_at else ""


def _delete(key: str) -> None:
    """Delete a result and every other format of it."""
    for form in (ResultFormat.CSV, ResultFormat.PARQUET):
        storage.hosted().delete(export_key(key, form))
    storage.hosted().delete(key)


def _is_held(key: str) -> bool:
    """Tell whether a query names the object, or the result that it is another format of."""
    stem, _, _ = key.rpartition(".")
    return Query.objects.filter(result_key=f"{stem}.arrow").exists()
