"""Secrets are told nowhere while they are used: in no log however loud, in no error, no repr."""

from __future__ import annotations

import io
import logging
import secrets
import traceback
from collections.abc import Iterator

import pytest
from django.conf import settings as django_settings
from pytest_django.fixtures import Settings

from accounts.domain import Actor
from catalog import services as catalogs
from catalog import storage
from catalog.buckets.rules import BucketSettings
from catalog.models import BucketKey
from observability import logs
from tests.catalog.storage_servers import redirecting, serving
from workspaces.models import Workspace


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Write all that anybody logs at DEBUG, in the form that is served, to a text."""
    logs.configure({"format": "json", "level": "DEBUG"})
    written = io.StringIO()
    handler = next(h for h in logging.getLogger().handlers if h.get_name() == logs.HANDLER)
    assert isinstance(handler, logging.StreamHandler)
    before = handler.setStream(written)
    yield written
    handler.setStream(before)
    logs.configure(django_settings.LOGGING)


def test_it_tells_a_buckets_secrets_to_nobody(
    owner: Actor, workspace: Workspace, settings: Settings, log: io.StringIO
) -> None:
    """Connected, used and refused: logs at their loudest, errors with all causes, reprs."""
    secret, token = secrets.token_urlsafe(30), secrets.token_urlsafe(60)
    with serving(redirecting(403)) as port:
        settings.STORAGE_ALLOWED_HOSTS = frozenset({f"127.0.0.1:{port}"})
        bucket = catalogs.connect_bucket(
            actor=owner,
            workspace=workspace,
            settings=BucketSettings("Theirs", "theirs", f"http://127.0.0.1:{port}", "us-east-1"),
            key=storage.Credentials("AKIA", secret, token),
        )
        store = storage.of(bucket)
        with pytest.raises(storage.StorageUnreachable) as refused:
            store.put_bytes("a", b"")
        url = store.presign("a", valid_seconds=60)
        logging.getLogger("upend").warning("reading %s failed", url)
    key = BucketKey.objects.get()
    shown = {
        "log": log.getvalue(),
        "error": "".join(traceback.format_exception(refused.value)),
        "repr": repr([store, store.credentials, key, vars(key), bucket, store.client]),
        "problem": str(refused.value.as_dict()),
    }
    assert "reading" in shown["log"]
    for where, text in shown.items():
        assert secret not in text, where
        assert token not in text, where
