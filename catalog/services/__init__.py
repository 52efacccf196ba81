"""Writes of what exists: catalogs, uploads, and the jobs of each catalog's one writer."""

from catalog.services.buckets import (
    change_bucket,
    connect_bucket,
    disconnect_bucket,
    settings_of,
)
from catalog.services.catalogs import create_catalog, drop_catalog
from catalog.services.jobs import (
    IdempotencyConflict,
    enqueue_job,
    publish,
    run_jobs,
    run_next_job,
    sweep_jobs,
    wait_for_job,
)
from catalog.services.uploads import upload_table

__all__ = [
    "IdempotencyConflict",
    "change_bucket",
    "connect_bucket",
    "create_catalog",
    "disconnect_bucket",
    "drop_catalog",
    "enqueue_job",
    "publish",
    "run_jobs",
    "run_next_job",
    "settings_of",
    "sweep_jobs",
    "upload_table",
    "wait_for_job",
]
