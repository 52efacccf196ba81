"""What a worker writes of an adoption: how a step ended, the catalog, and each newer copy."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from celery import current_app
from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from kombu.exceptions import OperationalError

from accounts.domain import SYSTEM, Actor, PrincipalKind
from audit import services as audit
from audit.domain import Event
from catalog import lake, storage
from catalog.adoption.prefixes import checked_prefix
from catalog.domain import AdoptionMode, AdoptionState
from catalog.locks import alone_in_bucket
from catalog.models import Adoption, Catalog
from catalog.services.catalogs import refuse_taken
from governance import broken, securables

logger = structlog.get_logger(__name__)

CHECKED_FOR = timedelta(days=1)
"""A report that nobody confirms within it is taken away, and the copy with it."""
RETIRED_FOR = timedelta(minutes=15)
"""A copy that was replaced is read by queries that had begun before."""
RUNNING = (AdoptionState.QUEUED, AdoptionState.READING, AdoptionState.CONFIRMED)


@audit.service
def end(*, adoption: Adoption, state: AdoptionState, problem: dict[str, Any] | None = None) -> None:
    """Record where a step of an adoption ended; what is not wanted any more is removed."""
    adoption.state, adoption.problem = state, problem
    adoption.finished_at, adoption.sync_requested_at = timezone.now(), None
    if state in {AdoptionState.FAILED, AdoptionState.REFUSED, AdoptionState.CANCELLED}:
        forget(adoption)
    if state == AdoptionState.ADOPTED:  # a sync that failed leaves the copy as it was
        rows = Adoption.objects.filter(id=adoption.id)
        rows.update(problem=problem, sync_requested_at=None, synced_at=timezone.now())
    else:
        adoption.save()
    is_good = problem is None and state == AdoptionState.CHECKED
    audit.record(
        actor=SYSTEM,
        event=Event.JOB_SUCCEEDED if is_good else Event.JOB_FAILED,
        target=adoption.target,
        after={"state": state, "problem": problem},
    )


@audit.service
def adopt(*, adoption: Adoption) -> Catalog:
    """Make the catalog. Raises `CatalogNameTaken` or `PrefixRefused`, if that came in between."""
    alone_in_bucket(adoption.bucket)
    refuse_taken(adoption.workspace, adoption.name)
    mode = AdoptionMode(adoption.mode)
    catalog = Catalog.objects.create(
        id=uuid.uuid4(),
        workspace=adoption.workspace,
        bucket=adoption.bucket,
        name=adoption.name,
        description=adoption.description,
        metadata_schema=adoption.metadata_schema,
        prefix=checked_prefix(adoption.bucket, adoption.prefix, mode),
        is_read_only=mode is AdoptionMode.READ_ONLY,
        owns_files=False,
        is_encrypted=bool((adoption.report or {}).get("encrypted")),
    )
    adoption.catalog, adoption.state = catalog, AdoptionState.ADOPTED
    adoption.finished_at = adoption.synced_at = timezone.now()
    if mode is AdoptionMode.MANAGED:
        adoption.sealed_dsn = b""  # nothing is read from there again
    adoption.save()
    audit.record(
        actor=_actor(adoption),
        event=Event.CATALOG_ADOPTED,
        target=securables.target(catalog.securable),
        after={
            "name": catalog.name,
            "mode": mode,
            "from": adoption.source_label,
            "report": adoption.report,
        },
    )
    transaction.on_commit(lambda: _unstage(adoption))
    return catalog


@audit.service
def follow(*, adoption: Adoption) -> None:
    """Let the catalog read the newer copy, from one moment to the next."""
    assert adoption.catalog is not None  # noqa: S101 - only catalogs are followed
    adoption.problem, adoption.sync_requested_at = None, None
    adoption.synced_at = timezone.now()
    adoption.save()
    rows = Catalog.objects.filter(id=adoption.catalog.id)
    rows.update(metadata_schema=adoption.metadata_schema)
    audit.record(
        actor=SYSTEM,
        event=Event.JOB_SUCCEEDED,
        target=adoption.target,
        after={"newest_snapshot": (adoption.report or {}).get("newest_snapshot")},
    )
    workspace = adoption.workspace
    transaction.on_commit(lambda: broken.recheck(workspace), robust=True)


def keep(*, adoption: Adoption) -> None:
    """Note that the source has not changed."""
    Adoption.objects.filter(id=adoption.id).update(
        synced_at=timezone.now(), sync_requested_at=None, problem=None
    )


def publish(adoption_id: UUID) -> bool:
    """Tell a worker to look now; False where the broker is down and the sweep must find it."""
    try:
        current_app.send_task("catalog.run_adoption", args=[str(adoption_id)], retry=False)
    except (OperationalError, OSError) as error:
        logger.warning("broker_down", adoption_id=str(adoption_id), error=type(error).__name__)
        return False
    return True


def sweep_adoptions() -> int:
    """Publish what waits and what is due, and take away what nobody confirmed; return how many."""
    now = timezone.now()
    silent = now - timedelta(seconds=settings.HEARTBEAT_TIMEOUT_SECONDS)
    followed = Adoption.objects.filter(
        catalog__dropped_at__isnull=True, catalog__is_read_only=True, sync_seconds__gt=0
    )
    for one in followed.filter(sync_requested_at__isnull=True).only("sync_seconds", "synced_at"):
        if one.synced_at is None or one.synced_at < now - timedelta(seconds=one.sync_seconds):
            Adoption.objects.filter(id=one.id).update(sync_requested_at=now)
    waiting = Adoption.objects.filter(
        Q(state__in=RUNNING) | Q(state=AdoptionState.ADOPTED, sync_requested_at__isnull=False)
    ).exclude(heartbeat_at__gt=silent)
    found = list(waiting.values_list("id", flat=True))
    for adoption_id in found:
        if not publish(adoption_id):
            break
    _tidy(now - CHECKED_FOR, now - RETIRED_FOR)
    return len(found)


def _tidy(undecided_since: datetime, retired_since: datetime) -> None:
    old = Adoption.objects.filter(state=AdoptionState.CHECKED, finished_at__lt=undecided_since)
    for adoption in old.select_related("workspace__organization", "bucket"):
        end(adoption=adoption, state=AdoptionState.CANCELLED)
    retired = Adoption.objects.exclude(retired_schema="").filter(synced_at__lt=retired_since)
    for adoption in retired:
        lake.drop(Catalog(metadata_schema=adoption.retired_schema))
        Adoption.objects.filter(id=adoption.id).update(retired_schema="")


def forget(adoption: Adoption) -> None:
    """Remove the copy and the uploaded file; the connection string goes too."""
    if adoption.metadata_schema:
        lake.drop(adoption.place)
    adoption.metadata_schema, adoption.sealed_dsn = "", b""
    Adoption.objects.filter(id=adoption.id).update(metadata_schema="", sealed_dsn=b"")
    transaction.on_commit(lambda: _unstage(adoption))


def _unstage(adoption: Adoption) -> None:
    if not adoption.staged_key.startswith("staging/"):
        return  # it is the customer's own
    try:
        storage.hosted().delete(adoption.staged_key)
    except storage.StorageUnreachable as problem:
        logger.warning("staged_file_left", key=adoption.staged_key, detail=problem.detail)


def _actor(adoption: Adoption) -> Actor:
    """Return who confirmed, as the ledger names actors."""
    said = adoption.requested_by
    return replace(
        SYSTEM,
        kind=PrincipalKind(said["kind"]),
        id=UUID(said["id"]),
        label=said["label"],
        organization_id=adoption.workspace.organization_id,
    )
