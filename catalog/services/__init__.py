"""Writes of what exists: catalogs, uploads, and the jobs of each catalog's one writer."""

from catalog.services.adoption_steps import sweep_adoptions
from catalog.services.adoptions import (
    cancel_adoption,
    confirm_adoption,
    request_adoption,
    sync_catalog,
)
from catalog.services.bucket_keys import (
    change_checked_bucket,
    check_bucket,
    retire_bucket_keys,
    rotate_bucket_key,
)
from catalog.services.buckets import (
    change_bucket,
    connect_bucket,
    disconnect_bucket,
    settings_of,
)
from catalog.services.catalogs import CatalogNameTaken, create_catalog
from catalog.services.ingest import send_rows, wait_until_finished
from catalog.services.ingest_upkeep import change_schema_mode, expire_batches
from catalog.services.jobs import (
    IdempotencyConflict,
    enqueue_job,
    publish,
    run_jobs,
    run_next_job,
    sweep_jobs,
    wait_for_job,
)
from catalog.services.lifecycle import (
    archive_catalog,
    change_catalog,
    drop_catalog,
    remove_dropped,
    restore_catalog,
)
from catalog.services.uploads import upload_table

__all__ = [
    "CatalogNameTaken",
    "IdempotencyConflict",
    "archive_catalog",
    "cancel_adoption",
    "change_bucket",
    "change_catalog",
    "change_checked_bucket",
    "change_schema_mode",
    "check_bucket",
    "confirm_adoption",
    "connect_bucket",
    "create_catalog",
    "disconnect_bucket",
    "drop_catalog",
    "enqueue_job",
    "expire_batches",
    "publish",
    "remove_dropped",
    "request_adoption",
    "restore_catalog",
    "retire_bucket_keys",
    "rotate_bucket_key",
    "run_jobs",
    "run_next_job",
    "send_rows",
    "settings_of",
    "sweep_adoptions",
    "sweep_jobs",
    "sync_catalog",
    "upload_table",
    "wait_for_job",
    "wait_until_finished",
]
