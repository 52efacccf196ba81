"""Attributes of principals and what is stated of devices: validated, recorded, at once in force."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.test import Client

from accounts import services as accounts
from accounts.authorization import NotAllowed
from accounts.domain import Actor
from accounts.models import Device
from accounts.selectors import actor_for_service_account, actor_for_user
from audit.domain import Event
from audit.models import AuditRecord
from problems import Invalid
from tests.cast import Cast
from upend.device import DeviceKey

JSON = "application/json"


def test_it_gives_people_and_programs_attributes_and_records_what_was(
    cast: Cast, owner: Actor, signed_in: Callable[[Actor], Client]
) -> None:
    client = signed_in(owner)
    analyst = cast.users["analyst"]
    for attributes in ({"region": "eu", "department": "ops"}, {"region": "us"}):
        address = f"/api/v1/people/{analyst.id}/attributes"
        answer = client.put(address, {"attributes": attributes}, content_type=JSON)
        assert answer.json()["attributes"] == attributes
    address = f"/api/v1/service-accounts/{cast.agent.id}/attributes"
    assert (
        client.put(address, {"attributes": {"team": "etl"}}, content_type=JSON).status_code == 200
    )
    analyst.refresh_from_db()
    cast.agent.refresh_from_db()
    assert actor_for_user(analyst).attributes == {"region": "us"}
    assert actor_for_service_account(cast.agent).attributes == {"team": "etl"}
    records = AuditRecord.objects.filter(event=Event.PRINCIPAL_ATTRIBUTES_CHANGED).order_by("id")
    assert [(r.before, r.after) for r in records] == [
        ({}, {"region": "eu", "department": "ops"}),
        ({"region": "eu", "department": "ops"}, {"region": "us"}),
        ({}, {"team": "etl"}),
    ]


@pytest.mark.parametrize(
    "attributes",
    [
        {"Region": "eu"},
        {"re gion": "eu"},
        {"email": "x@y.example"},
        {"region": ""},
        {"region": " eu"},
        {"region": "e\nu"},
        {"region": "e" * 121},
        {f"a{number}": "x" for number in range(21)},
    ],
)
def test_it_refuses_what_is_no_attribute(
    cast: Cast, owner: Actor, attributes: dict[str, str]
) -> None:
    with pytest.raises(Invalid):
        accounts.set_attributes(actor=owner, principal=cast.users["analyst"], attributes=attributes)
    cast.users["analyst"].refresh_from_db()
    assert cast.users["analyst"].attributes == {}


def test_it_lets_nobody_choose_their_own_attributes(cast: Cast) -> None:
    for name in ("steward", "analyst", "auditor", "outsider"):
        with pytest.raises(NotAllowed):
            accounts.set_attributes(
                actor=cast.actor(name),
                principal=cast.users["analyst"],
                attributes={"region": "eu"},
            )


@pytest.fixture
def device(analyst: Actor) -> Device:
    return accounts.enroll_device(
        actor=analyst,
        name="laptop",
        public_jwk=DeviceKey(Ed25519PrivateKey.generate()).public_jwk,
        platform="Darwin 25.1.0 arm64, Python 3.13.1",
    )


def test_it_believes_administrators_of_a_device_and_its_client_of_the_system(
    device: Device, owner: Actor, signed_in: Callable[[Actor], Client]
) -> None:
    assert (device.identity.os, device.identity.is_managed) == ("macos", False)
    address = f"/api/v1/devices/{device.id}"
    stated = {"is_managed": True, "is_disk_encrypted": True}
    body = signed_in(owner).patch(address, stated, content_type=JSON).json()
    assert (body["os"], body["is_managed"], body["is_disk_encrypted"]) == ("macos", True, True)
    signed_in(owner).patch(address, {"is_disk_encrypted": False}, content_type=JSON)
    device.refresh_from_db()
    assert (device.identity.is_managed, device.identity.is_disk_encrypted) == (True, False)
    records = AuditRecord.objects.filter(event=Event.DEVICE_STATED).order_by("id")
    assert [(r.before, r.after) for r in records] == [
        ({"is_managed": False, "is_disk_encrypted": False}, stated),
        ({"is_disk_encrypted": True}, {"is_disk_encrypted": False}),
    ]


def test_it_believes_no_device_about_itself(
    device: Device, analyst: Actor, signed_in: Callable[[Actor], Client]
) -> None:
    answer = signed_in(analyst).patch(
        f"/api/v1/devices/{device.id}", {"is_managed": True}, content_type=JSON
    )
    assert answer.status_code == 403
    device.refresh_from_db()
    assert not device.is_managed
