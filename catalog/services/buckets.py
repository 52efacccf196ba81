"""Connects customers' buckets, changes them, gives them new keys, and takes them away."""

from __future__ import annotations

import uuid
from dataclasses import asdict, fields
from typing import Any

from django.utils import timezone

from accounts.domain import Actor, PrincipalKind
from audit import services as audit
from audit.domain import Event
from catalog import storage
from catalog.buckets.rules import (
    BucketSettings,
    check_access_key_id,
    checked_settings,
    refused,
)
from catalog.domain import BucketKind, CredentialKind
from catalog.models import Bucket, BucketKey, Catalog
from catalog.storage import customer
from governance import securables
from governance import services as governance
from governance.domain import Action
from problems import Conflict
from workspaces.models import Workspace


class BucketNameTaken(Conflict):
    """The workspace has a bucket of this name."""

    code = "bucket-name-taken"
    title = "The name is taken"


class BucketInUse(Conflict):
    """Catalogs keep their files in the bucket."""

    code = "bucket-in-use"
    title = "Catalogs use the bucket"


@audit.service
def connect_bucket(
    *,
    actor: Actor,
    workspace: Workspace,
    settings: BucketSettings,
    key: storage.Credentials | None = None,
) -> Bucket:
    """Register a customer's bucket; nothing is reached yet, `check_bucket` does that.

    `key` is what reaches it, or what asks for its role where that is not the identity of
    Upend's host. Raises `AccessDenied`, `InvalidBucket` or `BucketNameTaken`.
    """
    governance.authorize(actor, Action.BUCKET_MANAGE, securables.workspace(workspace))
    kept = checked_settings(settings)
    _refuse_taken(workspace, kept.name)
    check_key(kept.credential_kind, key)
    bucket = Bucket.objects.create(
        workspace=workspace,
        kind=BucketKind.CUSTOMER,
        created_by_id=actor.id if actor.kind is PrincipalKind.USER else None,
        **asdict(kept),
    )
    if key is not None:
        add_key(bucket, key)
    audit.record(
        actor=actor,
        event=Event.BUCKET_CONNECTED,
        target=bucket.target,
        after={**asdict(kept), "access_key_id": key.access_key_id if key else ""},
    )
    return bucket


@audit.service
def change_bucket(*, actor: Actor, bucket: Bucket, settings: BucketSettings) -> Bucket:
    """Change how a bucket is called, reached and written; its keys stay.

    Where catalogs keep files in it, it stays the same place. Raises `AccessDenied`,
    `InvalidBucket`, `BucketNameTaken` or `BucketInUse`.
    """
    governance.authorize(actor, Action.BUCKET_MANAGE, securables.workspace(bucket.workspace))
    refuse_hosted(bucket)
    bucket = Bucket.objects.select_for_update(of=("self",)).get(id=bucket.id)
    before, kept = settings_of(bucket), checked_settings(settings)
    if kept.name != before.name:
        _refuse_taken(bucket.workspace, kept.name)
    if _place(kept) != _place(before):
        _refuse_used(bucket, "stays where it is")
    if kept.credential_kind is CredentialKind.STATIC and not bucket.keys.current().exists():
        raise refused("credential_kind", "The bucket has no key.", "Rotate its key first.")
    for name, value in asdict(kept).items():
        setattr(bucket, name, value)
    bucket.version = uuid.uuid4()
    bucket.last_check = bucket.last_checked_at = None
    bucket.save()
    changed = {k for k, v in asdict(kept).items() if v != asdict(before)[k]}
    audit.record(
        actor=actor,
        event=Event.BUCKET_CHANGED,
        target=bucket.target,
        before={k: v for k, v in asdict(before).items() if k in changed},
        after={k: v for k, v in asdict(kept).items() if k in changed},
    )
    return bucket


@audit.service
def disconnect_bucket(*, actor: Actor, bucket: Bucket) -> None:
    """Take a bucket away with its keys; what is in it stays.

    Raises `AccessDenied` or `BucketInUse`, which names the catalogs that are in the way.
    """
    governance.authorize(actor, Action.BUCKET_MANAGE, securables.workspace(bucket.workspace))
    refuse_hosted(bucket)
    bucket = Bucket.objects.select_for_update(of=("self",)).get(id=bucket.id)
    _refuse_used(bucket, "stays connected")
    bucket.keys.all().delete()
    bucket.disconnected_at, bucket.version = timezone.now(), uuid.uuid4()
    bucket.save(update_fields=["disconnected_at", "version"])
    audit.record(
        actor=actor,
        event=Event.BUCKET_DISCONNECTED,
        target=bucket.target,
        before={"name": bucket.name, "bucket_name": bucket.bucket_name},
    )


def settings_of(bucket: Bucket) -> BucketSettings:
    """Return what is said of a bucket, as `change_bucket` takes it."""
    said: dict[str, Any] = {f.name: getattr(bucket, f.name) for f in fields(BucketSettings)}
    return BucketSettings(**said)


def add_key(bucket: Bucket, key: storage.Credentials) -> BucketKey:
    """Keep a key of the bucket, sealed; the caller has retired the one before."""
    row = BucketKey(bucket=bucket, access_key_id=key.access_key_id, expires_at=key.expires_at)
    row.sealed_secret = customer.sealed(row, key.secret_access_key, key.session_token)
    row.save()
    return row


def refuse_hosted(bucket: Bucket) -> None:
    """Raise `InvalidBucket` for Upend's own storage: the operator's settings say how it is."""
    if bucket.kind == BucketKind.HOSTED:
        raise refused(
            "kind", "This is Upend's own storage.", "Its operator changes it (UPEND_S3_…)."
        )


def check_key(kind: CredentialKind, key: storage.Credentials | None) -> None:
    """Raise `InvalidBucket` unless `key` is what a bucket of this kind is reached by."""
    if key is not None:
        check_access_key_id(key.access_key_id)
        if not key.secret_access_key:
            raise refused("secret_access_key", "The secret is missing.", "Paste it with the key.")
    if kind is CredentialKind.STATIC and key is None:
        raise refused("access_key_id", "The key is missing.", "Paste its id and its secret.")
    if kind is CredentialKind.AMBIENT and key is not None:
        hint = "Leave the key out, or choose `static`."
        raise refused("access_key_id", "The host's own identity takes no key.", hint)


def _place(of: BucketSettings) -> tuple[str, str, str]:
    return of.endpoint, of.bucket_name, of.prefix


def _refuse_taken(workspace: Workspace, name: str) -> None:
    if Bucket.objects.connected().filter(workspace=workspace, name=name).exists():
        raise BucketNameTaken(
            f"{workspace.name} already has a bucket {name!r}.", hint="Choose another name."
        )


def _refuse_used(bucket: Bucket, what: str) -> None:
    names = list(
        Catalog.objects.live().filter(bucket=bucket).order_by("name").values_list("name", flat=True)
    )
    if names:
        shown = ", ".join(names[:10]) + (" and others" if names[10:] else "")
        raise BucketInUse(
            f"{bucket.name} {what}: {shown} keeps files in it."
            if len(names) == 1
            else f"{bucket.name} {what}: {shown} keep files in it.",
            hint="Drop those catalogs first.",
            catalogs=names,
        )
