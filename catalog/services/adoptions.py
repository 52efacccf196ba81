"""Adopts lakes that were made elsewhere: asked for, reported, confirmed by a person, followed."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import IO, Any
from uuid import UUID

import structlog
from celery import current_app
from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from kombu.exceptions import OperationalError

from accounts import keys
from accounts.domain import SYSTEM, Actor, PrincipalKind
from audit import services as audit
from audit.domain import Event
from catalog import lake, storage
from catalog.adoption.prefixes import PrefixRefused, below, checked_prefix
from catalog.domain import AdoptionMode, AdoptionSource, AdoptionState
from catalog.locks import alone_in_bucket
from catalog.models import Adoption, Bucket, Catalog
from catalog.names import check_catalog_name
from catalog.services.catalogs import refuse_taken
from catalog.storage.dsn import checked_dsn
from catalog.writable import check_bucket_writable
from governance import broken, securables
from governance import services as governance
from governance.domain import Action
from problems import Conflict, Invalid
from workspaces.models import Workspace

logger = structlog.get_logger(__name__)

CHECKED_FOR = timedelta(days=1)
"""A report that nobody confirms within it is taken away, and the copy with it."""
RETIRED_FOR = timedelta(minutes=15)
"""A copy that was replaced is read by queries that had begun before."""
UNDECIDED = (AdoptionState.CHECKED, AdoptionState.REFUSED)
RUNNING = (AdoptionState.QUEUED, AdoptionState.READING, AdoptionState.CONFIRMED)


class AdoptionMovedOn(Conflict):
    """The adoption is not where this could be done."""

    code = "adoption-moved-on"
    title = "The adoption has moved on"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a lake's metadata is: a DSN, a file that is uploaded, or a key in the bucket."""

    kind: AdoptionSource
    schema: str = ""
    dsn: str = ""
    file: IO[bytes] | None = None
    file_name: str = ""
    key: str = ""


def request_adoption(
    *,
    actor: Actor,
    bucket: Bucket,
    name: str,
    mode: AdoptionMode,
    source: Source,
    prefix: str = "",
    description: str = "",
    sync_seconds: int = 0,
) -> Adoption:
    """Have a lake read and checked; nothing is adopted before `confirm_adoption`.

    Raises `AccessDenied`, `InvalidName`, `CatalogNameTaken`, `PrefixRefused`, `EndpointRefused`,
    `Invalid` or `StorageUnreachable`.
    """
    adoption = Adoption(
        id=uuid.uuid4(),
        workspace=bucket.workspace,
        bucket=bucket,
        name=name,
        description=description,
        mode=mode,
        source=source.kind,
        source_schema=source.schema or _own_schema(source.kind),
        prefix=prefix,
        sync_seconds=sync_seconds,
        requested_by=_recorded(actor),
    )
    _check(actor=actor, adoption=adoption, source=source)
    if source.file is not None:
        adoption.staged_key = f"staging/adoptions/{adoption.id}"
        storage.hosted().put(adoption.staged_key, source.file)
    return _queue(actor=actor, adoption=adoption)


@audit.service
def _check(*, actor: Actor, adoption: Adoption, source: Source) -> None:
    """Refuse before a byte is stored."""
    _authorize(actor, adoption.workspace)
    check_catalog_name(adoption.name)
    refuse_taken(adoption.workspace, adoption.name)
    mode = AdoptionMode(adoption.mode)
    if mode is AdoptionMode.MANAGED:
        check_bucket_writable(adoption.bucket)
    if adoption.prefix:
        adoption.prefix = checked_prefix(adoption.bucket, adoption.prefix, mode)
    if source.kind is AdoptionSource.POSTGRESQL:
        dsn = checked_dsn(source.dsn)
        adoption.source_label = f"{dsn.host}:{dsn.port}/{dsn.dbname}"
        adoption.sealed_dsn = keys.seal(source.dsn.encode(), adoption.binding)
    elif source.file is not None:
        adoption.source_label = source.file_name[:200] or "a file"
    elif source.key:
        adoption.source_label, adoption.staged_key = source.key[:300], source.key
        _check_key(adoption.bucket, source.key)
    else:
        raise Invalid(
            "There is no metadata to read.", hint="Send a file, a key in the bucket, or a DSN."
        )


@audit.service
def _queue(*, actor: Actor, adoption: Adoption) -> Adoption:
    adoption.save(force_insert=True)
    audit.record(
        actor=actor,
        event=Event.JOB_QUEUED,
        target=adoption.target,
        after={
            "kind": "adopt",
            "mode": adoption.mode,
            "source": adoption.source,
            "from": adoption.source_label,
            "prefix": adoption.prefix,
        },
    )
    transaction.on_commit(lambda: publish(adoption.id))
    return adoption


@audit.service
def confirm_adoption(*, actor: Actor, adoption: Adoption) -> Adoption:
    """Adopt what was checked; a source that moved on since is read and checked anew first.

    Raises `AccessDenied`, or `AdoptionMovedOn` where there is no report that says it can be.
    """
    _authorize(actor, adoption.workspace)
    adoption = _locked(adoption)
    if adoption.state != AdoptionState.CHECKED:
        raise _moved_on(adoption)
    adoption.state, adoption.problem = AdoptionState.CONFIRMED, None
    adoption.requested_by = _recorded(actor)
    adoption.save(update_fields=["state", "problem", "requested_by"])
    audit.record(
        actor=actor, event=Event.JOB_QUEUED, target=adoption.target, after={"kind": "confirm"}
    )
    transaction.on_commit(lambda: publish(adoption.id))
    return adoption


@audit.service
def cancel_adoption(*, actor: Actor, adoption: Adoption) -> Adoption:
    """Stop reading, or throw a report away with the copy that it is about.

    Raises `AccessDenied`, or `AdoptionMovedOn` where it has ended.
    """
    _authorize(actor, adoption.workspace)
    adoption = _locked(adoption)
    if adoption.state not in (*RUNNING, *UNDECIDED):
        raise _moved_on(adoption)
    adoption.is_cancelled = True
    if adoption.state in UNDECIDED or adoption.state == AdoptionState.QUEUED:
        adoption.state, adoption.finished_at = AdoptionState.CANCELLED, timezone.now()
        _forget(adoption)
    adoption.save(update_fields=["is_cancelled", "state", "finished_at"])
    audit.record(
        actor=actor, event=Event.JOB_FAILED, target=adoption.target, after={"cancelled": True}
    )
    return adoption


@audit.service
def sync_catalog(*, actor: Actor, catalog: Catalog) -> Adoption:
    """Have a followed lake read again now. Raises `AccessDenied`, or `AdoptionMovedOn`."""
    governance.authorize(actor, Action.CATALOG_MANAGE, catalog.securable)
    adoption = Adoption.objects.filter(catalog=catalog).first()
    if adoption is None or not adoption.sealed_dsn or not catalog.is_read_only:
        raise AdoptionMovedOn(
            f"Catalog {catalog.name} follows no database.",
            hint="Only lakes adopted read-only from PostgreSQL are followed.",
        )
    adoption.sync_requested_at = timezone.now()
    adoption.save(update_fields=["sync_requested_at"])
    audit.record(
        actor=actor, event=Event.JOB_QUEUED, target=adoption.target, after={"kind": "sync"}
    )
    transaction.on_commit(lambda: publish(adoption.id))
    return adoption


@audit.service
def end(*, adoption: Adoption, state: AdoptionState, problem: dict[str, Any] | None = None) -> None:
    """Record where a step of an adoption ended; what is not wanted any more is removed."""
    adoption.state, adoption.problem = state, problem
    adoption.finished_at, adoption.sync_requested_at = timezone.now(), None
    if state in {AdoptionState.FAILED, AdoptionState.REFUSED, AdoptionState.CANCELLED}:
        _forget(adoption)
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


def _authorize(actor: Actor, workspace: Workspace) -> None:
    """Who adopts makes a catalog, and lets it read what the bucket's keys reach."""
    place = securables.workspace(workspace)
    governance.authorize(actor, Action.CATALOG_CREATE, place)
    governance.authorize(actor, Action.BUCKET_MANAGE, place)


def _own_schema(kind: AdoptionSource) -> str:
    return "public" if kind is AdoptionSource.POSTGRESQL else "main"


def _check_key(bucket: Bucket, key: str) -> None:
    segments = key.split("/")
    if not key.startswith(below(bucket)) or any(part in {"", ".", ".."} for part in segments):
        raise PrefixRefused(
            f"The key is not below {below(bucket)!r}, where bucket {bucket.name} begins.",
            hint="Give the key of the metadata file in the bucket, or upload the file.",
        )


def _recorded(actor: Actor) -> dict[str, str]:
    return {"kind": actor.kind, "id": str(actor.id), "label": actor.label}


def _locked(adoption: Adoption) -> Adoption:
    rows = Adoption.objects.select_for_update(of=("self",))
    return rows.select_related("workspace__organization", "bucket").get(id=adoption.id)


def _moved_on(adoption: Adoption) -> AdoptionMovedOn:
    return AdoptionMovedOn(
        f"The adoption of {adoption.name} is {adoption.state}.",
        hint="Look at its report; ask for the adoption again where it has ended.",
    )


def _forget(adoption: Adoption) -> None:
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
