"""Upend's own storage: what is put is read, and a URL reads exactly what it was signed for."""

from __future__ import annotations

import io
import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from django.conf import settings

from catalog import storage
from catalog.storage.sending import Sender


@pytest.fixture
def key() -> str:
    storage.hosted().ensure_bucket()
    return f"tests/{secrets.token_hex(6)}/a key=ä%20.bin"


def test_it_reads_back_what_was_put_in_parts(key: str) -> None:
    content = secrets.token_bytes(20 * 2**20)
    assert storage.hosted().put(key, io.BytesIO(content)) == len(content)
    assert storage.hosted().read(key, 5, 10) == content[5:15]
    assert b"".join(storage.hosted().stream(key)) == content


def test_it_puts_a_small_object_by_one_request_of_its_own(key: str) -> None:
    store = storage.hosted()
    sender = Sender(store.location, lambda: store.credentials)
    assert sender.put(key, b"rows", {"Content-Type": "text/x-rows"})
    assert store.read(key) == b"rows"
    head = store.client.head_object(Bucket=store.bucket, Key=key)
    assert head["ContentType"] == "text/x-rows"


@pytest.mark.parametrize(
    ("endpoint", "secret"),
    [
        pytest.param("http://127.0.0.1:1", "", id="unreachable"),
        pytest.param("", "wrong", id="refused"),
    ],
)
def test_it_leaves_to_botocore_what_is_not_taken(key: str, endpoint: str, secret: str) -> None:
    store = storage.hosted()
    held = [
        replace(store.credentials, secret_access_key=secret or store.credentials.secret_access_key)
    ]
    location = replace(store.location, endpoint=endpoint or store.location.endpoint)
    sender = Sender(location, lambda: held[0])
    assert not sender.put(key, b"rows", {})
    held[0] = store.credentials
    assert not sender.put(key, b"rows", {})  # nor is it tried again for a while
    store.put_bytes(key, b"rows")
    assert store.read(key) == b"rows"


def test_it_says_that_an_object_is_missing(key: str) -> None:
    with pytest.raises(storage.ObjectMissing):
        storage.hosted().size(key)


def test_it_removes_a_prefix_and_nothing_else(key: str) -> None:
    prefix = key.rsplit("/", 1)[0] + "/"
    storage.hosted().put_bytes(key, b"a")
    storage.hosted().put_bytes(prefix[:-1] + "-sibling", b"b")
    assert storage.hosted().delete_prefix(prefix) == 1
    assert storage.hosted().read(prefix[:-1] + "-sibling") == b"b"
    with pytest.raises(ValueError, match="not a directory"):
        storage.hosted().delete_prefix(prefix[:-1])


@pytest.mark.parametrize("window", [0, 300])
def test_it_signs_urls_that_work_without_keys(key: str, window: int) -> None:
    storage.hosted().put_bytes(key, b"0123456789")
    url = storage.hosted().presign(key, valid_seconds=60, window_seconds=window)
    answer = httpx.get(url, headers={"Range": "bytes=2-4"}, timeout=60)
    assert (answer.status_code, answer.content) == (206, b"234")
    assert httpx.get(url.replace(".bin?", ".bim?"), timeout=60).status_code == 403
    assert httpx.get(url.split("?")[0], timeout=60).status_code == 403


def test_it_signs_the_same_url_within_a_window_only(key: str) -> None:
    begin = datetime.fromtimestamp(1_800_000_000 // 300 * 300, UTC)
    urls = [
        storage.hosted().presign(
            key, valid_seconds=60, window_seconds=300, now=begin + timedelta(seconds=s)
        )
        for s in (0, 299, 300)
    ]
    assert urls[0] == urls[1] != urls[2]


def test_it_refuses_a_url_after_its_time(key: str) -> None:
    storage.hosted().put_bytes(key, b"x")
    past = datetime.now(UTC) - timedelta(seconds=120)
    assert (
        httpx.get(storage.hosted().presign(key, valid_seconds=60, now=past), timeout=60).status_code
        == 403
    )


def test_it_names_the_endpoint_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "S3", settings.S3 | {"endpoint": "http://127.0.0.1:9"})
    storage.hosted.cache_clear()
    with pytest.raises(storage.StorageUnreachable, match=r"127\.0\.0\.1:9"):
        storage.hosted().size("x")
    storage.hosted.cache_clear()
