"""Checks buckets and gives them new keys: the new one is tried, the old one kept for a while."""

from __future__ import annotations

import uuid
from copy import copy
from dataclasses import asdict, replace
from datetime import timedelta
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.domain import SYSTEM, Actor
from audit import services as audit
from audit.domain import Event
from catalog.buckets.check import run_check
from catalog.buckets.report import Outcome, Report
from catalog.buckets.rules import BucketSettings, checked_settings, refused
from catalog.domain import CredentialKind
from catalog.models import Bucket, BucketKey
from catalog.services.buckets import (
    add_key,
    change_bucket,
    check_key,
    refuse_hosted,
    settings_of,
)
from catalog.storage import Credentials, customer
from governance import securables
from governance import services as governance
from governance.domain import Action
from problems import Conflict, Invalid

OVERLAP = timedelta(hours=24)
"""Longer than anything that a key has signed holds, and than a writer's job may take."""


class BucketKeyRefused(Invalid):
    """The new key did not pass the connection check; the one before stays."""

    code = "bucket-key-refused"
    title = "The new key does not work"


class BucketSettingsRefused(Invalid):
    """The bucket did not pass the connection check with what was changed; it stays as it was."""

    code = "bucket-settings-refused"
    title = "The bucket does not work so"


class BucketChanged(Conflict):
    """Somebody changed the bucket while it was checked."""

    code = "bucket-changed"
    title = "The bucket was changed meanwhile"


def check_bucket(*, actor: Actor, bucket: Bucket) -> Report:
    """Check the bucket's connection step by step and keep the outcome.

    It takes seconds, and some network: call it outside a transaction. Raises `AccessDenied`,
    `InvalidBucket` for Upend's own storage, or `BucketChanged`.
    """
    governance.authorize(actor, Action.BUCKET_MANAGE, securables.workspace(bucket.workspace))
    refuse_hosted(bucket)
    report = run_check(bucket, customer.current_key(bucket), origin=console_origin())
    _keep(actor=actor, bucket=bucket, report=report)
    return report


def rotate_bucket_key(*, actor: Actor, bucket: Bucket, key: Credentials) -> Report:
    """Give the bucket a new key if it passes the check; the old one holds for a day more.

    Returns what the check found. Raises `AccessDenied`, `InvalidBucket`, `BucketChanged`, or
    `BucketKeyRefused` with the steps.
    """
    governance.authorize(actor, Action.BUCKET_MANAGE, securables.workspace(bucket.workspace))
    refuse_hosted(bucket)
    check_key(CredentialKind(bucket.credential_kind), key)
    if bucket.keys.current().filter(access_key_id=key.access_key_id).exists():
        is_same = customer.current_key(bucket)
        if is_same is not None and is_same.secret_access_key == key.secret_access_key:
            hint = "Make a new one at your provider."
            raise refused("access_key_id", "The bucket has this key already.", hint)
    report = run_check(bucket, key, origin=console_origin())
    if report.outcome is Outcome.FAILED:
        at_fault = next(step for step in report.steps if step.outcome is Outcome.FAILED)
        raise BucketKeyRefused(
            f"{at_fault.title}: {at_fault.found}", hint=at_fault.fix, check=report.as_dict()
        )
    _swap(actor=actor, bucket=bucket, key=key, report=report)
    return report


def change_checked_bucket(*, actor: Actor, bucket: Bucket, settings: BucketSettings) -> Bucket:
    """Change a bucket if it passes the check so; another name alone needs none.

    It takes seconds, as a check does. Raises `AccessDenied`, `InvalidBucket`, `BucketNameTaken`,
    `BucketInUse`, `BucketChanged`, or `BucketSettingsRefused` with the steps.
    """
    governance.authorize(actor, Action.BUCKET_MANAGE, securables.workspace(bucket.workspace))
    refuse_hosted(bucket)
    kept = checked_settings(settings)
    if replace(kept, name=bucket.name) == settings_of(bucket):
        return change_bucket(actor=actor, bucket=bucket, settings=kept)
    trial = copy(bucket)
    for name, value in asdict(kept).items():
        setattr(trial, name, value)
    report = run_check(trial, customer.current_key(bucket), origin=console_origin())
    if report.outcome is Outcome.FAILED:
        at_fault = next(step for step in report.steps if step.outcome is Outcome.FAILED)
        raise BucketSettingsRefused(
            f"{at_fault.title}: {at_fault.found}", hint=at_fault.fix, check=report.as_dict()
        )
    with transaction.atomic():
        changed = change_bucket(actor=actor, bucket=_unchanged(bucket), settings=kept)
        _keep(actor=actor, bucket=changed, report=report)
    return changed


def retire_bucket_keys() -> int:
    """Remove the rotated keys whose signatures are all void by now; return how many."""
    due = BucketKey.objects.filter(holds_until__lt=timezone.now()).values_list("id", flat=True)
    return sum(_retire(key_id=key_id) for key_id in due)


def console_origin() -> str:
    """Return the origin of the console, as browsers send it."""
    parts = urlsplit(settings.PUBLIC_URL)
    return f"{parts.scheme}://{parts.netloc}"


@audit.service
def _keep(*, actor: Actor, bucket: Bucket, report: Report) -> None:
    locked = _unchanged(bucket)
    locked.last_check, locked.last_checked_at = report.as_dict(), report.checked_at
    locked.save(update_fields=["last_check", "last_checked_at"])
    bucket.last_check, bucket.last_checked_at = locked.last_check, locked.last_checked_at
    audit.record(
        actor=actor,
        event=Event.BUCKET_CHECKED,
        target=bucket.target,
        after={"outcome": report.outcome, "steps": {s.name: s.outcome for s in report.steps}},
    )


@audit.service
def _swap(*, actor: Actor, bucket: Bucket, key: Credentials, report: Report) -> None:
    locked = _unchanged(bucket)
    now = timezone.now()
    holds_until = now + OVERLAP
    earlier = list(locked.keys.current().values_list("access_key_id", flat=True))
    locked.keys.current().update(retired_at=now, holds_until=holds_until)
    add_key(locked, key)
    locked.version = uuid.uuid4()
    locked.last_check, locked.last_checked_at = report.as_dict(), report.checked_at
    locked.save(update_fields=["version", "last_check", "last_checked_at"])
    audit.record(
        actor=actor,
        event=Event.BUCKET_KEY_ROTATED,
        target=bucket.target,
        before={"access_key_id": next(iter(earlier), "")},
        after={"access_key_id": key.access_key_id, "earlier_holds_until": holds_until.isoformat()},
    )


@audit.service
def _retire(*, key_id: uuid.UUID) -> int:
    key = (
        BucketKey.objects.select_for_update(of=("self",), skip_locked=True)
        .select_related("bucket__workspace")
        .filter(id=key_id)
        .first()
    )
    if key is None:
        return 0
    audit.record(
        actor=SYSTEM,
        event=Event.BUCKET_KEY_RETIRED,
        target=key.bucket.target,
        before={"access_key_id": key.access_key_id},
    )
    key.delete()
    return 1


def _unchanged(bucket: Bucket) -> Bucket:
    """Return the row, locked, as it was when it was checked. Raises `BucketChanged`."""
    locked = Bucket.objects.select_for_update(of=("self",)).filter(
        id=bucket.id, version=bucket.version, disconnected_at__isnull=True
    )
    found = locked.first()
    if found is None:
        raise BucketChanged(f"{bucket.name} was changed meanwhile.", hint="Check it again.")
    return found
