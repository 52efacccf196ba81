"""The end of extracts: by their time, by a change of the table or of a policy, for want of room.

Correctness does not hang on it: an extract is found only by the state of its table and by what its
reader may see now. An expired one is found by nobody; its object goes once no grant names it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from django.conf import settings
from django.db.models import Sum
from django.utils import timezone

from accounts.selectors import actor_for_user
from audit import services as audit
from audit.domain import Event
from catalog import lake, storage
from catalog.models import Catalog
from execution import ledger
from execution.domain import QueryState
from execution.extracts import rights
from execution.extracts.domain import ExtractState
from execution.models import Extract, GrantedFile, Query
from problems import NotFound, Problem
from workspaces.models import Workspace

PREFIX = "extracts/"


def expire_extracts() -> dict[str, int]:
    """End what serves nobody any more and delete what no grant names; return both counts."""
    expired = sum(_expire(row, why) for row, why in _ending())
    expired += sum(make_room(workspace) for workspace in _crowded())
    return {"expired": expired, "deleted": _delete_objects()}


def _ending() -> Iterator[tuple[Extract, str]]:
    """Yield the ready extracts that should end, with the reason."""
    ready = Extract.objects.filter(state=ExtractState.READY)
    for row in ready.select_related("workspace__organization").order_by("catalog_id"):
        if row.expires_at and row.expires_at <= timezone.now():
            yield row, "nobody used it for long"
        elif has_moved_on(row):
            yield row, "the table has changed"
        elif not _is_still_seen(row):
            yield row, "a policy has changed"


def has_moved_on(row: Extract) -> bool:
    """Tell whether the table has changed since; True where it, or its catalog, is gone."""
    catalog = Catalog.objects.live().filter(id=row.catalog_id).first()
    if catalog is None:
        return True
    try:
        newest = lake.latest_snapshot(catalog).snapshot_id
        table_id = row.job["table"]["table_id"]
        state = lake.unchanged_since(catalog, [table_id], newest)[table_id]
    except Problem:  # the lake cannot be asked now: the next sweep does
        return False
    return (state.snapshot_id, state.committed_at) != (row.snapshot_id, row.committed_at)


def _is_still_seen(row: Extract) -> bool:
    """Tell whether who used it last is still shown just what it holds."""
    last = row.queries.select_related("user").order_by("-created_at").first()
    if last is None or last.user is None:
        return True
    try:
        decisions = rights.decide(actor_for_user(last.user), row, last)
    except NotFound:
        return False
    return rights.shows_the_same(decisions, row)


def _crowded() -> list[Workspace]:
    """Return the workspaces whose extracts take more than they may."""
    ready = Extract.objects.filter(state=ExtractState.READY).values("workspace")
    sums = {row["workspace"]: row["size"] for row in ready.annotate(size=Sum("size_bytes"))}
    found = Workspace.objects.filter(id__in=sums).select_related("organization")
    return [w for w in found if sums[w.id] > w.max_stored_extract_bytes]


def make_room(workspace: Workspace) -> int:
    """End the extracts longest unused until the rest fits; return how many."""
    ready = Extract.objects.filter(workspace=workspace, state=ExtractState.READY)
    excess = ready.aggregate(size=Sum("size_bytes"))["size"] or 0
    excess -= workspace.max_stored_extract_bytes
    ended = 0
    for row in ready.select_related("workspace__organization").order_by("last_used_at"):
        if excess <= 0:
            break
        excess -= row.size_bytes or 0
        ended += _expire(row, "newer extracts needed the room")
    return ended


@audit.service
def _expire(row: Extract, why: str) -> bool:
    """End one extract; False where it moved meanwhile, or was used."""
    ended = Extract.objects.filter(
        id=row.id, state=ExtractState.READY, last_used_at=row.last_used_at
    ).update(state=ExtractState.EXPIRED, expires_at=timezone.now())
    if ended:
        audit.record(
            actor=ledger.system_of(row.workspace),
            event=Event.EXTRACT_EXPIRED,
            target=ledger.extract(row),
            after={"why": why, "size_bytes": row.size_bytes},
        )
    return bool(ended)


def _delete_objects() -> int:
    """Delete the objects of expired extracts that no query will read any more."""
    count = 0
    for row in Extract.objects.filter(state=ExtractState.EXPIRED).exclude(key=""):
        if not _is_held(row):
            storage.hosted().delete(row.key)
            count += Extract.objects.filter(id=row.id).update(key="")
    return count


def _is_held(row: Extract) -> bool:
    """Tell whether a device may still read it, or is about to be granted it."""
    open_states = [QueryState.DELEGATED, QueryState.PREPARING]
    if Query.objects.filter(extracts=row, state__in=open_states).exists():
        return True
    granted = GrantedFile.objects.filter(extract=row, grant__revoked_at__isnull=True)
    return granted.filter(grant__expires_at__gt=timezone.now()).exists()


def sweep_orphans() -> int:
    """Delete what a crash left in the bucket; return how many objects and unfinished uploads."""
    before = timezone.now() - timedelta(seconds=settings.EXTRACT_TTL_SECONDS)
    found = [key for key in storage.hosted().keys_before(PREFIX, before) if not _is_known(key)]
    for key in found:
        storage.hosted().delete(key)
    return len(found) + storage.hosted().abort_uploads_before(PREFIX, before)


def _is_known(key: str) -> bool:
    """Tell whether a row names the object: older ones than an extract lives are never written."""
    return Extract.objects.filter(key=key).exists()
