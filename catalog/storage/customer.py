"""The stores of customers' buckets: each reached by its own keys, found again by its version.

A store is kept for as long as its bucket's row has the version it was made for. Rotation and
every change of how a bucket is reached give the row a new one, so all processes notice with the
next row that they read; what still holds the old store goes on with keys that are kept for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from functools import lru_cache, partial
from uuid import UUID

import boto3
from django.utils import timezone

from accounts import keys
from catalog.domain import AddressingStyle, CredentialKind, Encryption
from catalog.models import Bucket, BucketKey
from catalog.storage.lending import Lender, Role, assume, session_policy
from catalog.storage.location import Credentials, Location
from catalog.storage.problems import StorageUnreachable
from catalog.storage.store import HURRIED, PATIENT, Store

USED_EVERY = timedelta(minutes=5)
"""How exact `last_used_at` is: a mark costs a write."""
ASK_AGAIN = timedelta(minutes=20)
"""For how long keys of the host's identity are taken to hold: clients renew 15 minutes before."""


class CredentialsMissing(StorageUnreachable):
    """The bucket has no key, or this host has no identity to reach it by."""

    title = "There are no keys to the bucket"


def store_of(bucket: Bucket, prefix: str, readable: tuple[str, ...] = ()) -> Store:
    """Return the store of a customer's bucket; keys that are lent reach `prefix` only.

    Below the prefixes in `readable` they read.
    """
    _mark_used(bucket)
    return _store(bucket.id, bucket.version, prefix or bucket.prefix, readable)


@lru_cache(maxsize=256)
def _store(
    bucket_id: UUID,
    version: UUID,  # noqa: ARG001 - a part of the cache's key
    prefix: str,
    readable: tuple[str, ...],
) -> Store:
    bucket = Bucket.objects.select_related("workspace").get(id=bucket_id)
    return make_store(bucket, current_key(bucket), prefix, readable)


def make_store(
    bucket: Bucket,
    key: Credentials | None,
    prefix: str = "",
    readable: tuple[str, ...] = (),
    *,
    is_hurried: bool = False,
) -> Store:
    """Return a store of the bucket by `key`, kept nowhere: for checks of keys not yet in use.

    `key` is what the customer gave; a role is assumed by it, or by this host's own identity.
    A hurried store tries once and does not wait for long.
    """
    return Store(
        location_of(bucket),
        _source(bucket, key, prefix or bucket.prefix, readable),
        is_read_only=bucket.is_read_only,
        patience=HURRIED if is_hurried else PATIENT,
    )


def location_of(bucket: Bucket) -> Location:
    """Return where the bucket is, as a plain value."""
    return Location(
        endpoint=bucket.endpoint,
        region=bucket.region,
        bucket=bucket.bucket_name,
        public_endpoint=bucket.public_endpoint or bucket.endpoint,
        style=AddressingStyle(bucket.addressing_style),
        encryption=Encryption(bucket.encryption),
        kms_key_id=bucket.kms_key_id,
    )


def role_of(bucket: Bucket) -> Role:
    """Return the role that reaches the bucket."""
    return Role(bucket.role_arn, bucket.external_id, bucket.region, bucket.sts_endpoint)


def current_key(bucket: Bucket) -> Credentials | None:
    """Return the key that signs now, opened; None where the bucket has none."""
    row = bucket.keys.current().first()
    return None if row is None else opened(row)


def sealed(key: BucketKey, secret: str, session_token: str) -> bytes:
    """Return what is kept of a key's secrets."""
    content = json.dumps({"secret": secret, "session_token": session_token})
    return keys.seal(content.encode(), key.binding)


def opened(key: BucketKey) -> Credentials:
    """Return a kept key's secrets. Raises `KeyUnavailable`."""
    held = json.loads(keys.unseal(bytes(key.sealed_secret), key.binding))
    return Credentials(key.access_key_id, held["secret"], held["session_token"], key.expires_at)


def _source(
    bucket: Bucket, key: Credentials | None, prefix: str, readable: tuple[str, ...]
) -> Callable[[], Credentials]:
    match CredentialKind(bucket.credential_kind):
        case CredentialKind.STATIC if key is not None:
            return lambda: key
        case CredentialKind.ASSUME_ROLE:
            policy = session_policy(
                bucket.bucket_name, prefix, readable, is_read_only=bucket.is_read_only
            )
            name = f"upend-{bucket.id}"
            role = role_of(bucket)
            return Lender(partial(assume, key, role, policy, name=name), role.endpoint or "STS")
        case CredentialKind.AMBIENT:
            return host_identity
    raise CredentialsMissing(
        f"{bucket.name} has no key.", hint="Give it one: rotate its key on the page Buckets."
    )


def host_identity() -> Credentials:
    """Return the keys of this host's own identity: a web identity, an instance profile.

    botocore renews them in time, so they are asked for again every few minutes. Raises
    `CredentialsMissing` where there is none.
    """
    found = _host_session().get_credentials()
    if found is None:
        raise CredentialsMissing(
            "This host has no identity of its own.",
            hint="Give Upend's host a web identity or an instance profile, or use a key.",
        )
    held = found.get_frozen_credentials()
    again = timezone.now() + ASK_AGAIN if held.token else None
    return Credentials(held.access_key or "", held.secret_key or "", held.token or "", again)


@lru_cache(maxsize=1)
def _host_session() -> boto3.Session:
    return boto3.Session()


def _mark_used(bucket: Bucket) -> None:
    now = timezone.now()
    if bucket.last_used_at is not None and now - bucket.last_used_at < USED_EVERY:
        return
    bucket.last_used_at = now
    Bucket.objects.filter(id=bucket.id).update(last_used_at=now)
    bucket.keys.current().update(last_used_at=now)
