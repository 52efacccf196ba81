"""A new key is tried before it is used, and the old one works until what it signed is void."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import httpx
import pytest
from django.test import Client
from django.utils import timezone

from accounts.domain import Actor
from audit.domain import Event
from audit.models import AuditRecord
from catalog import services as catalogs
from catalog import storage
from catalog.buckets.rules import BucketSettings, InvalidBucket
from catalog.models import Bucket, BucketKey
from catalog.services.bucket_keys import OVERLAP, BucketChanged, BucketKeyRefused, _keep
from tests.cast import Cast
from tests.catalog.storages import LentStorage
from workspaces.models import Workspace

pytestmark = pytest.mark.django_db

ANYTHING = {"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::*"}


@pytest.fixture
def bucket(moto: LentStorage, owner: Actor, workspace: Workspace) -> Bucket:
    said = BucketSettings("Theirs", moto.bucket(), moto.endpoint, moto.region)
    key = moto.person(ANYTHING)
    return catalogs.connect_bucket(actor=owner, workspace=workspace, settings=said, key=key)


def test_it_overlaps_the_old_key_with_the_new_one(
    bucket: Bucket, moto: LentStorage, owner: Actor
) -> None:
    before = storage.of(bucket)
    before.put_bytes("a", b"old")
    url = before.presign("a", valid_seconds=60)
    new = moto.person(ANYTHING)
    catalogs.rotate_bucket_key(actor=owner, bucket=bucket, key=new)
    after = storage.of(Bucket.objects.get())
    assert after.credentials.access_key_id == new.access_key_id
    assert (httpx.get(url, timeout=60).content, before.read("a")) == (b"old", b"old")
    current, retired = BucketKey.objects.all()
    assert (current.access_key_id, current.retired_at) == (new.access_key_id, None)
    assert retired.holds_until is not None
    assert retired.holds_until - timezone.now() > OVERLAP - timedelta(minutes=1)
    record = AuditRecord.objects.get(event=Event.BUCKET_KEY_ROTATED)
    assert record.before == {"access_key_id": retired.access_key_id}


def test_it_keeps_the_old_key_where_the_new_one_fails(
    bucket: Bucket, moto: LentStorage, owner: Actor
) -> None:
    version = bucket.version
    wrong = storage.Credentials("AKIAWRONG", "wrong")
    with pytest.raises(BucketKeyRefused, match="does not know this access key") as refused:
        catalogs.rotate_bucket_key(actor=owner, bucket=bucket, key=wrong)
    assert {"list": "failed"}.items() <= {
        step["name"]: step["outcome"] for step in refused.value.extra["check"]["steps"]
    }.items()
    assert BucketKey.objects.get().retired_at is None
    assert Bucket.objects.get().version == version


def test_it_refuses_the_key_that_it_has(bucket: Bucket, owner: Actor) -> None:
    same = storage.of(bucket).credentials
    with pytest.raises(InvalidBucket, match="has this key already"):
        catalogs.rotate_bucket_key(actor=owner, bucket=bucket, key=same)


def test_it_removes_a_rotated_key_when_its_time_is_over(
    bucket: Bucket, moto: LentStorage, owner: Actor
) -> None:
    catalogs.rotate_bucket_key(actor=owner, bucket=bucket, key=moto.person(ANYTHING))
    assert catalogs.retire_bucket_keys() == 0
    BucketKey.objects.filter(retired_at__isnull=False).update(
        holds_until=timezone.now() - timedelta(seconds=1)
    )
    assert catalogs.retire_bucket_keys() == 1
    assert BucketKey.objects.get().retired_at is None
    assert AuditRecord.objects.filter(event=Event.BUCKET_KEY_RETIRED).count() == 1


def test_it_does_not_keep_the_check_of_a_bucket_that_was_changed_meanwhile(
    bucket: Bucket, owner: Actor
) -> None:
    report = catalogs.check_bucket(actor=owner, bucket=bucket)
    catalogs.change_bucket(
        actor=owner, bucket=Bucket.objects.get(), settings=catalogs.settings_of(bucket)
    )
    with pytest.raises(BucketChanged):
        _keep(actor=owner, bucket=bucket, report=report)
    assert Bucket.objects.get().last_check is None


def test_it_checks_and_rotates_by_the_api(
    bucket: Bucket, moto: LentStorage, cast: Cast, signed_in: Callable[[Actor], Client]
) -> None:
    client = signed_in(cast.actor("owner"))
    path = "/api/v1/workspaces/flight-ops/buckets/Theirs"
    report = client.post(f"{path}/check")
    assert report.status_code == 200, report.content
    assert report.json()["steps"][0]["name"] == "resolve"
    new = moto.person(ANYTHING)
    given = {"access_key_id": new.access_key_id, "secret_access_key": new.secret_access_key}
    rotated = client.post(f"{path}/keys", given, content_type="application/json")
    assert rotated.status_code == 201, rotated.content
    shown = client.get(path)
    assert next(k["access_key_id"] for k in shown.json()["keys"]) == new.access_key_id
    assert shown.json()["is_usable"]
    for answer in (rotated, shown):
        assert new.secret_access_key.encode() not in answer.content
    analyst = signed_in(cast.actor("analyst"))
    assert analyst.get(path).json()["keys"] == []
    assert analyst.post(f"{path}/check").status_code == 403
    assert analyst.post(f"{path}/keys", given, content_type="application/json").status_code == 403
