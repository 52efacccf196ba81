"""Buckets in the console: connected by a form, checked step by step, secrets never shown again."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from accounts.domain import Actor
from catalog import storage
from catalog.models import Bucket, BucketKey

pytestmark = pytest.mark.django_db

PAGES = "/w/flight-ops/buckets"
SECRET = settings.S3["secret_access_key"]


@pytest.fixture
def said() -> dict[str, str]:
    """Return what a person types who connects a bucket on the suite's own server."""
    name = f"theirs-{secrets.token_hex(4)}"
    storage.hosted().client.create_bucket(Bucket=name)
    return {
        "provider": "seaweedfs",
        "name": "Theirs",
        "bucket_name": name,
        "prefix": "lake/",
        "endpoint": settings.S3["endpoint"],
        "region": "us-east-1",
        "credential_kind": "static",
        "addressing_style": "path",
        "access_key_id": settings.S3["access_key_id"],
        "secret_access_key": SECRET,
        "expires_on": f"{timezone.now() + timedelta(days=5):%Y-%m-%d}",
    }


def test_it_connects_checks_and_disconnects(
    owner: Actor, signed_in: Callable[[Actor], Client], said: dict[str, str]
) -> None:
    client = signed_in(owner)
    assert "Cloudflare R2" in client.get(PAGES).content.decode()
    answer = client.post(f"{PAGES}/connect", said, follow=True)
    page = answer.content.decode()
    assert answer.redirect_chain == [(f"{PAGES}/{Bucket.objects.get().id}", 302)]
    for told in ("Theirs is connected", "Outside the prefix is refused", "Copy the JSON of"):
        assert told in page
    listed = client.get(PAGES).content.decode()
    assert "key ends in" in listed
    assert SECRET not in page + listed
    again = client.post(f"{PAGES}/{Bucket.objects.get().id}/check", follow=True)
    assert again.status_code == 200
    gone = client.post(f"{PAGES}/{Bucket.objects.get().id}/disconnect", follow=True)
    assert "is disconnected" in gone.content.decode()
    assert not BucketKey.objects.exists()


def test_it_keeps_what_was_typed_but_for_the_secret(
    owner: Actor, signed_in: Callable[[Actor], Client], said: dict[str, str]
) -> None:
    answer = signed_in(owner).post(f"{PAGES}/connect", said | {"prefix": "a*/"})
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "wildcards in access policies" in page
    assert said["bucket_name"] in page
    assert SECRET not in page


def test_it_shows_why_a_new_key_is_refused(
    owner: Actor, signed_in: Callable[[Actor], Client], said: dict[str, str]
) -> None:
    client = signed_in(owner)
    client.post(f"{PAGES}/connect", said)
    path = f"{PAGES}/{Bucket.objects.get().id}/rotate"
    wrong = {"access_key_id": "AKIANOBODY", "secret_access_key": "not-this-one"}
    answer = client.post(path, wrong)
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "Check of the new key" in page
    assert "does not know this access key" in page
    assert "not-this-one" not in page
    assert BucketKey.objects.get().access_key_id == said["access_key_id"]


def test_it_shows_members_the_bucket_without_its_keys(
    owner: Actor,
    analyst: Actor,
    signed_in: Callable[[Actor], Client],
    said: dict[str, str],
) -> None:
    signed_in(owner).post(f"{PAGES}/connect", said)
    path = f"{PAGES}/{Bucket.objects.get().id}"
    page = signed_in(analyst).get(path).content.decode()
    assert said["bucket_name"] in page
    assert said["access_key_id"] not in page
    assert signed_in(analyst).post(f"{path}/check").status_code == 403
    assert signed_in(analyst).post(f"{PAGES}/connect", said).status_code == 403


def test_it_keeps_settings_that_pass_the_check_and_no_others(
    owner: Actor,
    analyst: Actor,
    signed_in: Callable[[Actor], Client],
    said: dict[str, str],
) -> None:
    client = signed_in(owner)
    client.post(f"{PAGES}/connect", said)
    bucket = Bucket.objects.get()
    path = f"{PAGES}/{bucket.id}/settings"
    form = client.get(path).content.decode()
    assert said["bucket_name"] in form
    assert SECRET not in form
    shown = {k: v for k, v in said.items() if k not in {"access_key_id", "secret_access_key"}}

    renamed = client.post(path, shown | {"name": "Ours"}, follow=True)
    assert renamed.redirect_chain == [(f"{PAGES}/{bucket.id}", 302)]
    bucket.refresh_from_db()
    assert bucket.name == "Ours"
    missing = shown | {"name": "Ours", "bucket_name": f"{said['bucket_name']}-none"}
    refused = client.post(path, missing)
    assert refused.status_code == 422
    page = refused.content.decode()
    assert "Nothing was changed" in page
    assert f"{said['bucket_name']}-none" in page
    bucket.refresh_from_db()
    assert bucket.bucket_name == said["bucket_name"]

    version = bucket.version
    changes = {"name": "Ours", "prefix": "other/", "is_read_only": "on"}
    kept = client.post(path, shown | changes, follow=True)
    assert "read only" in kept.content.decode()
    bucket.refresh_from_db()
    assert (bucket.prefix, bucket.is_read_only) == ("other/", True)
    assert bucket.version != version
    assert bucket.last_check is not None
    assert BucketKey.objects.get().bucket_id == bucket.id
    assert signed_in(analyst).post(path, shown).status_code == 403
