"""Adopts lakes that were made elsewhere: asked for, confirmed by a person, followed, cancelled."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import IO

from django.db import transaction
from django.utils import timezone

from accounts import keys
from accounts.domain import Actor
from audit import services as audit
from audit.domain import Event
from catalog import storage
from catalog.adoption.prefixes import PrefixRefused, below, checked_prefix
from catalog.domain import AdoptionMode, AdoptionSource, AdoptionState
from catalog.models import Adoption, Bucket, Catalog
from catalog.names import check_catalog_name
from catalog.services.adoption_steps import RUNNING, forget, publish
from catalog.services.catalogs import refuse_taken
from catalog.storage.dsn import checked_dsn
from catalog.writable import check_bucket_writable
from governance import securables
from governance import services as governance
from governance.domain import Action
from problems import Conflict, Invalid
from workspaces.models import Workspace

UNDECIDED = (AdoptionState.CHECKED, AdoptionState.REFUSED)


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
        forget(adoption)
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
