"""Sealed secrets and signatures: bound to their place, verifiable with what is published."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace

import pytest
from django.test import Client
from joserfc import jws
from joserfc.jwk import KeySet

from accounts import keys
from accounts import services as accounts
from accounts.authorization import NotAllowed
from accounts.domain import Actor
from accounts.models import SigningKey
from tests.cast import Cast

BINDING = keys.Binding(uuid.UUID(int=1), "catalog.Bucket", uuid.UUID(int=2), "secret")


def test_it_opens_what_it_sealed() -> None:
    sealed = keys.seal(b"secret", BINDING)

    assert b"secret" not in sealed
    assert keys.unseal(sealed, BINDING) == b"secret"
    assert keys.seal(b"secret", BINDING) != sealed


@pytest.mark.parametrize(
    "elsewhere",
    [
        replace(BINDING, organization_id=uuid.UUID(int=9)),
        replace(BINDING, model="catalog.Other"),
        replace(BINDING, row_id=uuid.UUID(int=9)),
        replace(BINDING, field="other"),
    ],
)
def test_it_opens_a_secret_only_in_its_place(elsewhere: keys.Binding) -> None:
    with pytest.raises(keys.KeyUnavailable):
        keys.unseal(keys.seal(b"secret", BINDING), elsewhere)


def test_it_notices_a_changed_secret() -> None:
    sealed = bytearray(keys.seal(b"secret", BINDING))
    sealed[-1] ^= 1
    with pytest.raises(keys.KeyUnavailable):
        keys.unseal(bytes(sealed), BINDING)


def test_it_signs_what_the_published_keys_verify(cast: Cast, owner: Actor) -> None:
    old = keys.sign(cast.organization, {"aud": "device"}, "upend-manifest+jwt")
    accounts.create_signing_key(actor=owner, organization=cast.organization)
    new = keys.sign(cast.organization, {"aud": "device"}, "upend-manifest+jwt")

    published = Client().get("/.well-known/upend-keys.json").json()
    assert not any("d" in key for key in published["keys"])
    key_set = KeySet.import_key_set(published)
    for text in (old, new):
        opened = jws.deserialize_compact(text, key_set, registry=keys.REGISTRY)
        assert opened.headers()["typ"] == "upend-manifest+jwt"
        assert json.loads(opened.payload or b"") == {"aud": "device"}
    kids = [
        jws.extract_compact(text.encode(), registry=keys.REGISTRY).headers()["kid"]
        for text in (old, new)
    ]
    assert kids[0] != kids[1]


def test_it_keeps_the_private_half_sealed(cast: Cast) -> None:
    row = SigningKey.objects.filter(organization=cast.organization).get()

    assert set(row.public_jwk) == {"kty", "crv", "x", "kid", "use", "alg"}
    private = json.loads(keys.unseal(bytes(row.sealed_private_key), keys.binding_of(row)))
    assert private["d"].encode() not in bytes(row.sealed_private_key)


def test_it_lets_only_administrators_make_keys(cast: Cast, analyst: Actor) -> None:
    with pytest.raises(NotAllowed):
        accounts.create_signing_key(actor=analyst, organization=cast.organization)
