"""The end of keeping results: by their time, and of objects that nothing names any more.

Several queries may name one object, where later ones were answered from the first. Each lets go
in a transaction of its own, and whoever finds that nobody holds the object deletes it: of two
that let go at once, at least the later one finds that. A cache hit locks the row it copies, so
that a row that lets go first cannot be copied, and one that was copied is not the last.
"""

from __future__ import annotations

from django.db.models import QuerySet
from django.utils import timezone

from catalog import storage
from execution.domain import ResultFormat
from execution.models import Query, ResultExport, export_key

AT_ONCE = 1000


def expire_results() -> int:
    """Let the results go whose time is over; the queries themselves stay."""
    expired = Query.objects.filter(result_expires_at__lte=timezone.now()).exclude(result_key="")
    return let_go(expired)


def let_go(queries: QuerySet[Query]) -> int:
    """Take the rows away from some of `queries`, and delete what nobody holds; return how many."""
    held = list(queries.values_list("id", "result_key")[:AT_ONCE])
    count = 0
    for query_id, key in held:
        ResultExport.objects.filter(query_id=query_id).delete()
        count += Query.objects.filter(id=query_id, result_key=key).update(result_key="")
        if not Query.objects.filter(result_key=key).exists():
            _delete(key)
    return count


def _delete(key: str) -> None:
    """Delete a result and every other format of it."""
    for form in (ResultFormat.CSV, ResultFormat.PARQUET):
        storage.delete(export_key(key, form))
    storage.delete(key)
