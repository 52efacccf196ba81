"""A bucket of the customer's own: connected, reached by its keys, changed, and taken away."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import replace

import pytest
from django.conf import settings
from django.test import Client

from accounts.domain import Actor
from audit.domain import Event
from audit.models import AuditRecord
from catalog import services as catalogs
from catalog import storage
from catalog.buckets.rules import BucketSettings, InvalidBucket
from catalog.domain import CredentialKind
from catalog.models import Bucket, BucketKey, Catalog
from catalog.services.buckets import BucketInUse, BucketNameTaken
from catalog.storage.endpoints import EndpointRefused
from governance.services import AccessDenied
from workspaces.models import Workspace

pytestmark = pytest.mark.django_db

OWN = storage.Credentials(settings.S3["access_key_id"], settings.S3["secret_access_key"])


@pytest.fixture(scope="module")
def theirs() -> BucketSettings:
    """Return what is said of a bucket beside Upend's own, on the same server."""
    name = f"theirs-{secrets.token_hex(4)}"
    storage.hosted().client.create_bucket(Bucket=name)
    return BucketSettings(
        name="Theirs", bucket_name=name, endpoint=settings.S3["endpoint"], region="us-east-1"
    )


@pytest.fixture
def bucket(owner: Actor, workspace: Workspace, theirs: BucketSettings) -> Bucket:
    given = replace(theirs, prefix="lake/production")
    return catalogs.connect_bucket(actor=owner, workspace=workspace, settings=given, key=OWN)


def test_it_reaches_a_bucket_by_the_key_it_was_given(bucket: Bucket) -> None:
    store = storage.of(bucket)
    store.put_bytes("lake/production/a", b"theirs")
    assert storage.of(Bucket.objects.get(id=bucket.id)).read("lake/production/a") == b"theirs"
    assert store.bucket == bucket.bucket_name
    assert store is storage.of(Bucket.objects.get(id=bucket.id))
    assert Bucket.objects.get(id=bucket.id).last_used_at is not None


def test_it_keeps_the_secret_where_nothing_shows_it(bucket: Bucket) -> None:
    key = BucketKey.objects.get(bucket=bucket)
    told = str(vars(key)) + repr(key) + repr(storage.of(bucket)) + repr(OWN)
    told += json.dumps(list(AuditRecord.objects.values_list("before", "after")))
    assert OWN.secret_access_key not in told
    assert OWN.secret_access_key.encode() not in bytes(key.sealed_secret)


def test_it_records_the_connection(bucket: Bucket, owner: Actor) -> None:
    record = AuditRecord.objects.get(event=Event.BUCKET_CONNECTED)
    assert (record.actor_id, record.target_id) == (owner.id, str(bucket.id))
    assert record.after is not None
    assert record.after["prefix"] == "lake/production/"


@pytest.mark.parametrize("prefix", ["*", "a?", 'a"b', "$x", "a\\b", "a%2F..", "..", "a/../b"])
def test_it_refuses_a_prefix_with_its_rule(
    prefix: str, owner: Actor, workspace: Workspace, theirs: BucketSettings
) -> None:
    given = replace(theirs, prefix=prefix)
    with pytest.raises(InvalidBucket) as refused:
        catalogs.connect_bucket(actor=owner, workspace=workspace, settings=given, key=OWN)
    assert refused.value.extra == {"field": "prefix"}
    assert "wildcards" in refused.value.hint


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("endpoint", "https://user@minio.internal/"),
        ("endpoint", "ftp://storage.example"),
        ("endpoint", "https://storage.example/path"),
        ("endpoint", "storage.example"),
        ("endpoint", "http://127.0.0.1:6379"),
        ("sts_endpoint", "http://169.254.169.254"),
        ("bucket_name", "a..b"),
        ("bucket_name", settings.S3["bucket"]),
        ("region", "us east"),
        ("name", " "),
        ("credential_kind", CredentialKind.UPEND),
        ("credential_kind", CredentialKind.AMBIENT),
        ("kms_key_id", "alias/mine"),
    ],
)
def test_it_refuses_what_cannot_be(
    field: str, value: str, owner: Actor, workspace: Workspace, theirs: BucketSettings
) -> None:
    given = replace(theirs, **{field: value})  # type: ignore[arg-type]
    with pytest.raises((InvalidBucket, EndpointRefused)) as refused:
        catalogs.connect_bucket(actor=owner, workspace=workspace, settings=given, key=OWN)
    assert refused.value.extra == {"field": field}
    assert refused.value.hint


def test_it_writes_nothing_into_a_bucket_that_is_read_only(bucket: Bucket, owner: Actor) -> None:
    given = replace(catalogs.settings_of(bucket), is_read_only=True)
    before = storage.of(bucket)
    changed = catalogs.change_bucket(actor=owner, bucket=bucket, settings=given)
    assert storage.of(changed) is not before
    with pytest.raises(storage.BucketReadOnly):
        storage.of(changed).put_bytes("lake/production/b", b"")
    with pytest.raises(storage.BucketReadOnly):
        storage.of(changed).delete("lake/production/b")


def test_it_stays_while_catalogs_use_it(bucket: Bucket, owner: Actor) -> None:
    Catalog.objects.create(
        workspace=bucket.workspace, bucket=bucket, name="sales", metadata_schema="s", prefix="p/"
    )
    with pytest.raises(BucketInUse, match="sales keeps files in it"):
        catalogs.disconnect_bucket(actor=owner, bucket=bucket)
    moved = replace(catalogs.settings_of(bucket), prefix="elsewhere/")
    with pytest.raises(BucketInUse):
        catalogs.change_bucket(actor=owner, bucket=bucket, settings=moved)


def test_it_forgets_the_keys_of_what_was_disconnected(bucket: Bucket, owner: Actor) -> None:
    catalogs.disconnect_bucket(actor=owner, bucket=bucket)
    assert not BucketKey.objects.filter(bucket=bucket).exists()
    with pytest.raises(storage.CredentialsMissing):
        storage.of(Bucket.objects.get(id=bucket.id)).client  # noqa: B018 - it opens the key


def test_it_is_for_those_who_manage_buckets(
    steward: Actor, owner: Actor, bucket: Bucket, theirs: BucketSettings
) -> None:
    place = bucket.workspace
    with pytest.raises(AccessDenied):
        catalogs.connect_bucket(actor=steward, workspace=place, settings=theirs, key=OWN)
    with pytest.raises(BucketNameTaken):
        catalogs.connect_bucket(actor=owner, workspace=place, settings=theirs, key=OWN)


def test_it_takes_a_secret_by_the_api_and_never_gives_it_back(
    owner: Actor, theirs: BucketSettings, client: Client, signed_in: object
) -> None:
    assert callable(signed_in)
    client = signed_in(owner)
    path = "/api/v1/workspaces/flight-ops/buckets"
    given = {
        "name": "Theirs",
        "bucket_name": theirs.bucket_name,
        "endpoint": theirs.endpoint,
        "region": theirs.region,
        "key": {"access_key_id": "AKIA", "secret_access_key": "open-sesame"},
    }
    made = client.post(path, given, content_type="application/json")
    assert made.status_code == 201, made.content
    assert made.json()["keys"][0]["access_key_id"] == "AKIA"
    one = client.get(f"{path}/Theirs")
    changed = client.patch(f"{path}/Theirs", {"name": "Ours"}, content_type="application/json")
    listed = client.get(path)
    for answer in (made, one, changed, listed):
        assert b"open-sesame" not in answer.content
    assert changed.json()["name"] == "Ours"
    assert client.delete(f"{path}/Ours").status_code == 204
    assert client.get(f"{path}/Ours").json()["code"] == "unknown-bucket"


def test_it_keeps_by_the_api_only_settings_that_pass_the_check(
    bucket: Bucket, owner: Actor, signed_in: Callable[[Actor], Client]
) -> None:
    client, path = signed_in(owner), "/api/v1/workspaces/flight-ops/buckets/Theirs"
    wrong = {"bucket_name": f"{bucket.bucket_name}-missing", "region": "eu-west-1"}
    refused = client.patch(path, wrong, content_type="application/json")
    problem = refused.json()
    assert (refused.status_code, problem["code"]) == (422, "bucket-settings-refused")
    at_fault = next(step for step in problem["check"]["steps"] if step["outcome"] == "failed")
    assert problem["detail"] == f"{at_fault['title']}: {at_fault['found']}"
    assert problem["hint"] == at_fault["fix"] != ""
    as_it_was = Bucket.objects.get()
    assert catalogs.settings_of(as_it_was) == catalogs.settings_of(bucket)
    assert as_it_was.version == bucket.version
    right = client.patch(path, {"prefix": "lake/tests"}, content_type="application/json")
    assert right.status_code == 200, right.content
    assert right.json()["prefix"] == "lake/tests/"
    assert right.json()["last_check"]["outcome"] != "failed"
