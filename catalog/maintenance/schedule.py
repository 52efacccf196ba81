"""Begins the runs that are due, fairly over catalogs: who was looked after longest ago goes first.

A lake that did not change needs nothing new: it is looked at again when it does, or now and then.
"""

from __future__ import annotations

from collections.abc import Callable

from django.core.cache import cache
from django.db.models import F, Max

from catalog import lake
from catalog.maintenance import planning
from catalog.models import Catalog, MaintenanceRun
from problems import Problem

AT_ONCE = 4
"""Catalogs that the schedule maintains at the same time, on all workers together."""

LOOK_AGAIN_SECONDS = 300


def begin_due(start: Callable[[Catalog], MaintenanceRun | None]) -> int:
    """Start a run for each catalog that needs one, as many as may be; return how many."""
    room = AT_ONCE - MaintenanceRun.objects.active().count()
    started = 0
    for catalog in _in_turn():
        if started >= room:
            break
        if _is_due(catalog) and start(catalog) is not None:
            started += 1
    return started


def _in_turn() -> list[Catalog]:
    """Return the catalogs that are written to and not being maintained, who waits longest first."""
    busy = MaintenanceRun.objects.active().values("catalog_id")
    rows = Catalog.objects.live().filter(archived_at__isnull=True, is_read_only=False)
    rows = rows.filter(bucket__is_read_only=False).exclude(id__in=busy)
    rows = rows.annotate(last=Max("maintenance_runs__created_at"))
    rows = rows.select_related("bucket", "workspace__organization")
    return list(rows.order_by(F("last").asc(nulls_first=True), "id"))


def _is_due(catalog: Catalog) -> bool:
    """Tell whether the schedule may do something for the catalog now."""
    key = f"upkeep:{catalog.id}"
    try:
        newest = lake.latest_snapshot(catalog).snapshot_id
        seen = cache.get(key)
        if seen is not None and seen == newest:
            return False
        if planning.due(catalog):
            return True
    except Problem:
        return False  # not ready, or its files are not its own: its page says so
    cache.set(key, newest, LOOK_AGAIN_SECONDS)
    return False
