"""Rotation of the key-encryption key: everything moves to the new one, and nothing is lost."""

from __future__ import annotations

import os
import shutil
import threading
import uuid
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from pytest_django.fixtures import Settings

from accounts import keys
from accounts import services as accounts
from accounts.domain import SYSTEM, Actor
from accounts.models import SigningKey
from accounts.sealing import Binding, KeyUnavailable, current_key, key_of, seal, unseal
from accounts.sealing.local import add_key
from accounts.services import rotation
from accounts.services.rotation import keys_in_use, rotate_keys
from audit.domain import Event
from audit.models import AuditRecord
from governance.models import MaskKey
from governance.services import mask_keys
from tests.cast import Cast


@pytest.fixture
def key_file(settings: Settings, tmp_path: Path, cast: Cast) -> Path:
    """Return a copy of the key file that the cast's secrets were sealed with, in use."""
    settings.KEY_FILE = Path(shutil.copy(settings.KEY_FILE, tmp_path / "key-encryption.key"))
    return tmp_path / "key-encryption.key"


def rotate() -> str:
    """Run the command as an operator does; return what it says."""
    out = StringIO()
    call_command("rotate_keys", "--new-key", stdout=out, stderr=out)
    return out.getvalue()


def test_it_moves_every_secret_to_the_new_key(key_file: Path, cast: Cast) -> None:
    """Signing and masking go on, and the old key is needed for nothing more."""
    mask = mask_keys.mask_key(cast.organization.id)
    old, before = current_key(), sum(keys_in_use().values())
    said = rotate()
    assert keys_in_use() == {current_key(): before}
    assert f"Wrapped {before} secrets by {current_key()}" in said
    key_file.write_text(key_file.read_text().splitlines()[0])  # the retired key is gone
    assert keys.sign(cast.organization, {"aud": "device"}, "upend-manifest+jwt")
    assert mask_keys.mask_key(cast.organization.id) == mask
    assert old not in keys_in_use()


def test_it_records_the_rotation_for_each_organization(key_file: Path, cast: Cast) -> None:
    rotate()
    records = AuditRecord.objects.filter(event=Event.ENCRYPTION_KEY_ROTATED)
    assert {record.organization_id for record in records} == {
        cast.organization.id,
        cast.other_organization.id,
    }
    assert all(record.after == {"key": current_key(), "secrets": 1} for record in records)
    assert rotate_keys(actor=SYSTEM).rewrapped == 0
    assert records.count() == 2


def test_it_goes_on_where_it_was_stopped(
    key_file: Path, cast: Cast, owner: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key's file is taken away in the middle of a run: what is done stays done."""
    for _ in range(5):
        accounts.create_signing_key(actor=owner, organization=cast.organization)
    monkeypatch.setattr(rotation, "BATCH", 2)
    add_key(key_file)
    both = key_file.read_text()
    batches = rotation._batches(rotation.Rotation(current_key()))
    rotation._replace(actor=SYSTEM, batch=next(batches), key_id=current_key())
    assert keys_in_use()[current_key()] == 2
    key_file.unlink()
    with pytest.raises(KeyUnavailable):
        rotate_keys(actor=SYSTEM)
    key_file.write_text(both)
    assert rotate_keys(actor=SYSTEM).rewrapped == 5
    assert set(keys_in_use()) == {current_key()}


def test_it_names_what_does_not_open_and_does_the_rest(key_file: Path, cast: Cast) -> None:
    lost = SigningKey.objects.filter(organization=cast.other_organization).get()
    swapped = SigningKey.objects.filter(organization=cast.organization).get()
    SigningKey.objects.filter(pk=lost.pk).update(sealed_private_key=swapped.sealed_private_key)
    with pytest.raises(CommandError, match="1 secrets do not open"):
        rotate()
    assert key_of(bytes(SigningKey.objects.get(pk=swapped.pk).sealed_private_key)) == current_key()
    kept = bytes(SigningKey.objects.get(pk=lost.pk).sealed_private_key)
    assert kept == bytes(swapped.sealed_private_key)


@pytest.mark.django_db(transaction=True)
def test_it_loses_nothing_that_others_write_meanwhile(key_file: Path, cast: Cast) -> None:
    """A writer replaces one secret again and again; the last that it wrote is what stays."""
    row = MaskKey(id=uuid.uuid4(), organization=cast.organization)
    binding = Binding(cast.organization.id, "governance.MaskKey", row.id, "sealed_key")
    row.sealed_key = seal(b"0", binding)
    row.save(force_insert=True)
    stop, written = threading.Event(), [b"0"]

    def write() -> None:
        while not stop.is_set():
            written.append(os.urandom(8))
            MaskKey.objects.filter(pk=row.pk).update(sealed_key=seal(written[-1], binding))
        connection.close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(5):
            rotate()
    finally:
        stop.set()
        writer.join()
    kept = bytes(MaskKey.objects.get(pk=row.pk).sealed_key)
    assert unseal(kept, binding) == written[-1]
    assert len(written) > 5


def test_it_says_what_each_key_still_opens(key_file: Path, cast: Cast) -> None:
    out, old = StringIO(), current_key()
    new = add_key(key_file)
    call_command("rotate_keys", "--check", stdout=out)
    assert f"{old}: 2 secrets\n" in out.getvalue()
    assert new not in out.getvalue()
    call_command("rotate_keys", stdout=out)
    call_command("rotate_keys", "--check", stdout=out)
    assert f"{new}: 2 secrets (wraps now)" in out.getvalue()
