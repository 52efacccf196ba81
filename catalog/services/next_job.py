"""Which job of a catalog is next: found and begun by one statement, since rows come in streams."""

from __future__ import annotations

import json
from datetime import timedelta

from django.utils import timezone

from accounts import statements
from catalog.domain import JobKind, JobState
from catalog.models import Catalog, Job

UPKEEP_WAITS = timedelta(seconds=10)
"""So long a step of upkeep lets whatever else is queued go first."""

BEGINNING = f"""
UPDATE catalog_job SET state = '{JobState.RUNNING}', attempts = attempts + 1,
       heartbeat_at = %(now)s, started_at = coalesce(started_at, %(now)s)
WHERE id = (SELECT id FROM catalog_job WHERE catalog_id = %(catalog)s
              AND state IN ('{JobState.QUEUED}', '{JobState.RUNNING}')
            ORDER BY kind = '{JobKind.MAINTAIN}' AND created_at > %(patient)s, created_at, id
            LIMIT 1)
RETURNING {statements.columns(Job, "catalog_job")},
          (SELECT registered_prefixes FROM catalog_catalog c WHERE c.id = %(catalog)s)
"""  # noqa: S608 - our own names
"""Upkeep lets others go first, but not for ever."""


def begin_next(catalog: Catalog) -> Job | None:
    """Note that the oldest unfinished job runs, and return it; None where there is none."""
    now = timezone.now()
    asked = {"catalog": catalog.id, "now": now, "patient": now - UPKEEP_WAITS}
    rows = statements.rows(BEGINNING, asked)
    if not rows:
        return None
    [(*cells, prefixes)] = rows
    job = statements.made(Job, cells)
    job.catalog, catalog.registered_prefixes = catalog, json.loads(prefixes)
    return job
