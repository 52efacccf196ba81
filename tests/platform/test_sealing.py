"""Secrets at rest: what opens where, with which keys, in the forms that were ever written."""

from __future__ import annotations

import base64
import os
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.apps import apps
from pytest_django.fixtures import Settings

from accounts.sealing import Binding, KeyUnavailable, current_key, key_of, rewrapped, seal, unseal
from accounts.sealing.fields import SealedField, sealed_fields
from accounts.sealing.local import add_key, ensure_key_file

BINDING = Binding(uuid.UUID(int=1), "catalog.Bucket", uuid.UUID(int=2), "secret")


@pytest.fixture
def key_file(settings: Settings, tmp_path: Path) -> Path:
    """Return a key file of the test's own, in use."""
    settings.KEY_FILE = tmp_path / "keys" / "key-encryption.key"
    ensure_key_file(settings.KEY_FILE)
    return tmp_path / "keys" / "key-encryption.key"


def test_it_gives_each_secret_a_key_of_its_own(key_file: Path) -> None:
    first, second = seal(b"canary", BINDING), seal(b"canary", BINDING)
    assert first != second
    assert b"canary" not in first + second
    assert unseal(first, BINDING) == unseal(second, BINDING) == b"canary"
    assert key_of(first) == current_key()
    assert key_file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "elsewhere",
    [
        replace(BINDING, organization_id=uuid.UUID(int=9)),
        replace(BINDING, model="catalog.Other"),
        replace(BINDING, row_id=uuid.UUID(int=9)),
        replace(BINDING, field="other"),
    ],
)
def test_it_opens_and_rewraps_a_secret_only_in_its_place(
    elsewhere: Binding, key_file: Path
) -> None:
    sealed = seal(b"canary", BINDING)
    for do in (unseal, rewrapped):
        with pytest.raises(KeyUnavailable):
            do(sealed, elsewhere)


def test_it_notices_every_changed_byte(key_file: Path) -> None:
    sealed = seal(b"canary", BINDING)
    for at in range(len(sealed)):
        spoiled = bytearray(sealed)
        spoiled[at] ^= 1
        with pytest.raises(KeyUnavailable):
            unseal(bytes(spoiled), BINDING)
        with pytest.raises(KeyUnavailable):
            unseal(sealed[:at], BINDING)


def test_it_does_not_join_the_key_of_one_secret_to_the_content_of_another(key_file: Path) -> None:
    """Both of the same place: only the content's own key opens it."""
    first, second = seal(b"canary one", BINDING), seal(b"canary two", BINDING)
    begin = len(first) - 12 - 16 - len(b"canary one")
    with pytest.raises(KeyUnavailable):
        unseal(first[:begin] + second[begin:], BINDING)


def test_it_opens_what_was_sealed_before_there_were_data_keys(key_file: Path) -> None:
    key, nonce = base64.b64decode(key_file.read_bytes()), os.urandom(12)
    old = b"\x01" + nonce + AESGCM(key).encrypt(nonce, b"canary", b"\x01" + BINDING.as_bytes())
    assert unseal(old, BINDING) == b"canary"
    add_key(key_file)
    assert unseal(old, BINDING) == b"canary"
    fresh = rewrapped(old, BINDING)
    assert (key_of(old), key_of(fresh)) == ("unnamed", current_key())
    assert unseal(fresh, BINDING) == b"canary"


def test_it_wraps_by_the_first_key_and_opens_by_all(key_file: Path) -> None:
    """A running process sees the file change; a key that leaves it opens nothing more."""
    sealed, old = seal(b"canary", BINDING), key_file.read_text()
    before = current_key()
    after = add_key(key_file)
    assert before != after == current_key()
    assert unseal(sealed, BINDING) == b"canary"
    fresh = rewrapped(sealed, BINDING)
    assert fresh[-30:] == sealed[-30:]  # the content stays
    key_file.write_text(key_file.read_text().replace(old, "# retired\n\n"))
    assert unseal(fresh, BINDING) == b"canary"
    with pytest.raises(KeyUnavailable, match=before) as missing:
        unseal(sealed, BINDING)
    assert "backup" in missing.value.hint


def test_it_moves_from_the_file_to_the_environment(key_file: Path, settings: Settings) -> None:
    sealed = seal(b"canary", BINDING)
    settings.KEY_PROVIDER, settings.KEYS = "environment", base64.b64encode(b"k" * 32).decode()
    fresh = rewrapped(sealed, BINDING)
    key_file.unlink()
    assert unseal(fresh, BINDING) == b"canary"
    with pytest.raises(KeyUnavailable):
        unseal(sealed, BINDING)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path, _: path.unlink(), "no key-encryption key in UPEND_KEY_FILE"),
        (lambda path, _: path.write_text("# empty\n"), "no key-encryption key in UPEND_KEY_FILE"),
        (lambda path, _: path.write_text("c2hvcnQ=\n"), "Line 1 of"),
        (lambda path, _: path.write_bytes(b"\xff\xfe"), "Line 1 of"),
        (lambda _, settings: setattr(settings, "KEY_PROVIDER", "environment"), "UPEND_KEYS"),
        (lambda _, settings: setattr(settings, "KEY_PROVIDER", "paper"), "'paper'"),
        (lambda _, settings: setattr(settings, "KEY_PROVIDER", "aws-kms"), "UPEND_AWS_KMS_KEYS"),
        (lambda _, settings: setattr(settings, "KEY_PROVIDER", "vault"), "UPEND_VAULT_KEYS"),
    ],
)
def test_it_seals_nothing_without_a_key_and_says_which(
    spoil: Callable[[Path, Settings], object], said: str, key_file: Path, settings: Settings
) -> None:
    spoil(key_file, settings)
    with pytest.raises(KeyUnavailable, match=said) as refused:
        seal(b"canary", BINDING)
    assert refused.value.hint
    assert "c2hvcnQ" not in str(refused.value)


def test_it_knows_every_column_of_sealed_secrets() -> None:
    """By its type: that is what rotation goes by."""
    named = {
        field
        for model in apps.get_models()
        for field in model._meta.concrete_fields
        if field.name.startswith("sealed_")
    }
    assert {field.name for field in sealed_fields()} >= {"sealed_private_key", "sealed_key"}
    assert named == set(sealed_fields())
    assert all(isinstance(field, SealedField) for field in named)
