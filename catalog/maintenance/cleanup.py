"""Deletes objects that nobody can need: replaced files after their readers, and orphans.

Both run in the catalog's queue, so that its writer writes nothing meanwhile. A file is deleted
before it is taken off the list: a crash between leaves an entry whose object is gone, and that
is no error the next time.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from catalog import storage
from catalog.domain import JobState
from catalog.lake import retired
from catalog.maintenance import health, holds, standings
from catalog.maintenance.leases import leases_of
from catalog.models import Catalog, Job
from catalog.storage import Listed

BATCH = 50


def clean_up(catalog: Catalog, heard: Callable[[dict[str, float]], None]) -> int:
    """Delete replaced files that no reader can need any more; return how many.

    `heard` is told how far it is after each batch and may raise to stop it there. Who reads is
    asked again before each batch.
    """
    store, removed = storage.of_catalog(catalog), 0
    while found := health.deletable(catalog, leases_of(catalog))[:BATCH]:
        for one in found:
            if one.key is not None:
                store.delete(one.key)
        retired.forget(catalog, [one.file_id for one in found])
        removed += len(found)
        heard({"removed": removed})
    return removed


def orphans(catalog: Catalog) -> list[Listed]:
    """Return the lake's own objects that no metadata names and no writer is about to name."""
    before = timezone.now() - timedelta(seconds=settings.MAINTENANCE_ORPHAN_SECONDS)
    waiting = Job.objects.filter(catalog=catalog, state__in=[JobState.QUEUED, JobState.RUNNING])
    if (oldest := waiting.order_by("created_at").first()) is not None:
        before = min(before, oldest.created_at)
    listed = storage.of_catalog(catalog).listed_before(catalog.prefix, before)
    ours = [one for one in listed if holds.is_ours(catalog, one.key)]
    if not ours:
        return []
    leases = leases_of(catalog)
    known = retired.known_keys(catalog) | leases.keys
    return [one for one in ours if one.key not in known]


def remove_orphans(catalog: Catalog, heard: Callable[[dict[str, float]], None]) -> int:
    """Delete the orphans; return how many."""
    store, found = storage.of_catalog(catalog), orphans(catalog)
    for number, one in enumerate(found, start=1):
        store.delete(one.key)
        if number % BATCH == 0:
            heard({"removed": number})
    standings.found_orphans(catalog, [])
    return len(found)
