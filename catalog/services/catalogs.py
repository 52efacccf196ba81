"""Creates catalogs: a row now, the lake itself by the catalog's writer."""

from __future__ import annotations

import uuid

from django.conf import settings

from accounts.domain import Actor, PrincipalKind
from audit import services as audit
from audit.domain import Event
from catalog.domain import BucketKind, JobKind
from catalog.models import Bucket, Catalog
from catalog.names import check_catalog_name
from catalog.selectors import UnknownBucket
from catalog.services.jobs import enqueue_job
from catalog.writable import check_bucket_writable
from governance import securables
from governance import services as governance
from governance.domain import Action
from problems import Conflict
from workspaces.models import Workspace


class CatalogNameTaken(Conflict):
    """The workspace has a catalog of this name."""

    code = "catalog-name-taken"
    title = "The name is taken"


class BucketNotReady(Conflict):
    """The bucket's last check found a fault, or its role was never checked."""

    code = "bucket-not-ready"
    title = "The bucket cannot be used yet"


@audit.service
def create_catalog(
    *,
    actor: Actor,
    workspace: Workspace,
    name: str,
    description: str = "",
    bucket: Bucket | None = None,
    is_encrypted: bool = False,
) -> Catalog:
    """Create a catalog in a bucket of the workspace; its first job makes the lake.

    Without a bucket it is in Upend's own storage. An encrypted one has a key of its own for each
    file, kept in its metadata, so that its bucket shows nothing. Raises `AccessDenied`,
    `InvalidName`, `CatalogNameTaken`, `UnknownBucket`, `BucketReadOnly` or `BucketNotReady`.
    """
    governance.authorize(actor, Action.CATALOG_CREATE, securables.workspace(workspace))
    check_catalog_name(name)
    refuse_taken(workspace, name)
    place = hosted_bucket(workspace) if bucket is None else _usable(workspace, bucket)
    catalog_id = uuid.uuid4()
    catalog = Catalog.objects.create(
        id=catalog_id,
        workspace=workspace,
        bucket=place,
        name=name,
        description=description,
        is_encrypted=is_encrypted,
        metadata_schema=f"lake_{catalog_id.hex}",
        prefix=_prefix_in(place, catalog_id),
        created_by_id=actor.id if actor.kind is PrincipalKind.USER else None,
    )
    audit.record(
        actor=actor,
        event=Event.CATALOG_CREATED,
        target=securables.target(catalog.securable),
        after={"name": name, "description": description, "bucket": place.name}
        | ({"is_encrypted": True} if is_encrypted else {}),
    )
    enqueue_job(
        actor=actor,
        catalog=catalog,
        kind=JobKind.INITIALIZE,
        arguments={"is_encrypted": is_encrypted} if is_encrypted else {},
    )
    return catalog


def refuse_taken(workspace: Workspace, name: str) -> None:
    """Raise `CatalogNameTaken` where the workspace has a live catalog of this name."""
    if Catalog.objects.live().filter(workspace=workspace, name=name).exists():
        raise CatalogNameTaken(
            f"{workspace.name} already has a catalog {name!r}.", hint="Choose another name."
        )


def _usable(workspace: Workspace, bucket: Bucket) -> Bucket:
    """Return a connected bucket that takes files, locked: it cannot be disconnected meanwhile."""
    rows = Bucket.objects.connected().filter(workspace=workspace, id=bucket.id)
    found = rows.select_for_update(of=("self",)).first()
    if found is None:
        raise UnknownBucket(f"{workspace.name} has no bucket {bucket.name!r}.")
    check_bucket_writable(found)
    if not found.is_usable:
        raise BucketNotReady(
            f"The connection check of {found.name} has not passed.",
            hint="Check it on the page Buckets: each step says what to mend.",
        )
    return found


def _prefix_in(bucket: Bucket, catalog_id: uuid.UUID) -> str:
    """Return where a lake's files go: below the bucket's prefix, and beside no other lake's."""
    is_hosted = bucket.kind == BucketKind.HOSTED
    return f"{'' if is_hosted else bucket.prefix}catalogs/{catalog_id}/"


def hosted_bucket(workspace: Workspace) -> Bucket:
    """Return the workspace's part of Upend's own storage."""
    bucket, _ = Bucket.objects.get_or_create(
        workspace=workspace,
        kind=BucketKind.HOSTED,
        bucket_name=settings.S3["bucket"],
        defaults={"name": "Hosted by Upend", "prefix": "catalogs/"},
    )
    return bucket
