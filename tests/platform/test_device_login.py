"""Device login, end to end: code, approval in the browser, token, enrolment, DPoP requests."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from django.conf import settings
from django.core.cache import cache
from django.test import Client, override_settings
from joserfc import jws
from joserfc.jwk import OKPKey

from accounts.domain import Actor, Scope
from accounts.keys import REGISTRY
from accounts.models import Device, Organization
from audit.domain import Event
from audit.models import AuditRecord
from tests.cast import PASSWORD, Cast

GRANT = "urn:ietf:params:oauth:grant-type:device_code"
DEVICES = "/api/v1/devices"
ME = "/api/v1/me"
UNREACHABLE = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": "redis://127.0.0.1:1/0",
    }
}


@pytest.fixture(autouse=True)
def _fresh_counts() -> None:
    """Start each test with no calls counted against this address."""
    cache.clear()


def as_form(path: str, **fields: str) -> Any:
    """Post as OAuth clients do (RFC 6749 appendix B)."""
    return Client().post(path, urlencode(fields), content_type="application/x-www-form-urlencoded")


class Laptop:
    """A machine with a key of its own, which speaks DPoP."""

    def __init__(self, token: str) -> None:
        self.key = OKPKey.generate_key("Ed25519")
        self.token = token
        self.client = Client()

    @property
    def jwk(self) -> dict[str, Any]:
        return dict(self.key.as_dict(private=False))

    def proof(self, method: str, path: str, **changes: Any) -> str:
        ath = hashlib.sha256(self.token.encode()).digest()
        claims = {
            "htm": method,
            "htu": f"{settings.PUBLIC_URL}{path}",
            "iat": int(time.time()),
            "jti": uuid.uuid4().hex,
            "ath": base64.urlsafe_b64encode(ath).rstrip(b"=").decode(),
        } | changes
        header = {"typ": "dpop+jwt", "alg": "EdDSA", "jwk": self.jwk}
        return jws.serialize_compact(header, json.dumps(claims), self.key, registry=REGISTRY)

    def get(self, path: str = ME, proof: str | None = None) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"}
        headers["DPoP"] = proof or self.proof("GET", path)
        return self.client.get(path, headers=headers)

    def enroll(self, **changes: Any) -> Any:
        body = {
            "name": "Ana's laptop",
            "platform": "Linux x86_64",
            "client_version": "0.1.0",
            "public_jwk": self.jwk,
            "memory_bytes": 16 * 2**30,
        } | changes
        headers = {"Authorization": f"Bearer {self.token}", "DPoP": self.proof("POST", DEVICES)}
        return self.client.post(DEVICES, body, content_type="application/json", headers=headers)


@pytest.fixture
def laptop(analyst: Actor, bearer: Callable[..., dict[str, str]]) -> Laptop:
    return Laptop(bearer(analyst, Scope.DEVICE_ENROLL)["Authorization"].removeprefix("Bearer "))


def test_it_logs_in_enrolls_and_is_approved(
    cast: Cast, analyst: Actor, owner: Actor, signed_in: Callable[[Actor], Client]
) -> None:
    asked = as_form("/identity/o/api/device/code", client_id="upend-cli").json()
    browser = signed_in(analyst)
    page = f"/identity/o/device?code={asked['user_code']}"
    assert asked["user_code"] in browser.get(page).content.decode()
    assert browser.post(page, {"action": "confirm"}).status_code == 200
    granted = as_form(
        "/identity/o/api/token",
        grant_type=GRANT,
        device_code=asked["device_code"],
        client_id="upend-cli",
    ).json()
    recorded = AuditRecord.objects.get(event=Event.TOKEN_CREATED)
    assert (recorded.actor_id, recorded.target_label) == (analyst.id, "upend-cli")
    assert set(granted["scope"].split()) == {"catalog:read", "device:enroll", "query:run"}

    laptop = Laptop(granted["access_token"])
    enrolled = laptop.enroll()
    assert enrolled.status_code == 201
    assert enrolled.json()["status"] == "pending"
    assert laptop.get().json()["device"]["status"] == "pending"

    approve = f"{DEVICES}/{enrolled.json()['id']}/approve"
    assert signed_in(owner).post(approve).json()["status"] == "approved"
    assert laptop.get().json()["device"]["status"] == "approved"
    device = Device.objects.get()
    assert device.decided_by == cast.users["owner"]
    assert device.last_seen_at is not None

    renewed = as_form(
        "/identity/o/api/token",
        grant_type="refresh_token",
        refresh_token=granted["refresh_token"],
        client_id="upend-cli",
    )
    assert renewed.status_code == 200, renewed.content
    laptop.token = renewed.json()["access_token"]
    assert laptop.get().json()["device"]["status"] == "approved"

    signed_in(owner).post(f"{DEVICES}/{device.id}/revoke")
    assert laptop.get().json()["device"]["status"] == "revoked"


def test_it_lets_no_other_site_approve_a_login(cast: Cast) -> None:
    asked = as_form("/identity/o/api/device/code", client_id="upend-cli").json()
    page = f"/identity/o/device?code={asked['user_code']}"
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(cast.users["analyst"])

    assert browser.post(page, {"action": "confirm"}).status_code == 403
    token = re.search(r'csrfmiddlewaretoken" value="([^"]+)', browser.get(page).content.decode())
    assert token is not None
    form = {"action": "confirm", "csrfmiddlewaretoken": token[1]}
    assert browser.post(page, form).status_code == 200


def test_it_approves_at_once_where_the_organization_says_so(laptop: Laptop) -> None:
    Organization.objects.filter(slug="demo-air").update(auto_approve_devices=True)

    assert laptop.enroll().json()["status"] == "approved"
    events = AuditRecord.objects.filter(event__startswith="device.").values_list("event", flat=True)
    assert list(events) == [Event.DEVICE_APPROVED, Event.DEVICE_ENROLLED]


def test_it_enrolls_the_same_key_once(laptop: Laptop) -> None:
    first = laptop.enroll().json()
    second = laptop.enroll(name="Renamed").json()

    assert second["id"] == first["id"]
    assert second["name"] == "Renamed"
    assert AuditRecord.objects.filter(event=Event.DEVICE_ENROLLED).count() == 1


def test_it_does_not_enroll_a_revoked_key_again(
    laptop: Laptop, owner: Actor, signed_in: Callable[[Actor], Client]
) -> None:
    device_id = laptop.enroll().json()["id"]
    revoke = f"{DEVICES}/{device_id}/revoke"
    assert signed_in(owner).post(revoke).status_code == 200

    assert laptop.enroll().status_code == 409


def test_it_refuses_to_enroll_a_key_that_was_not_proven(laptop: Laptop) -> None:
    other = OKPKey.generate_key("Ed25519").as_dict(private=False)

    refused = laptop.enroll(public_jwk=other)
    assert refused.status_code == 401
    assert refused.json()["code"] == "device-proof-refused"


def test_it_refuses_a_private_key(laptop: Laptop) -> None:
    assert laptop.enroll(public_jwk=laptop.key.as_dict(private=True)).status_code == 401


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"htu": "http://elsewhere.example/api/v1/me"}, "device-proof-refused", "elsewhere"),
        ({"htm": "POST"}, "device-proof-refused", "htm"),
        ({"iat": 1_000_000_000}, "clock-skew", "2001-09-09 01:46:40"),
        ({"ath": "bm90LXRoaXM"}, "device-proof-refused", "ath"),
        ({"jti": ""}, "device-proof-refused", "jti"),
    ],
)
def test_it_refuses_a_proof_for_something_else(
    laptop: Laptop, changes: dict[str, Any], code: str, words: str
) -> None:
    refused = laptop.get(proof=laptop.proof("GET", ME, **changes))

    assert refused.status_code == 401
    assert refused.json()["code"] == code
    assert words in refused.json()["detail"]


def test_it_refuses_a_proof_twice(laptop: Laptop) -> None:
    proof = laptop.proof("GET", ME)

    assert laptop.get(proof=proof).status_code == 200
    assert laptop.get(proof=proof).status_code == 401


def test_it_refuses_a_signature_by_another_key(laptop: Laptop) -> None:
    forged = laptop.proof("GET", ME)
    head, body, _ = forged.split(".")
    signature = laptop.proof("GET", ME).rpartition(".")[2]

    assert laptop.get(proof=f"{head}.{body}.{signature}").status_code == 401


@pytest.mark.parametrize("proof", ["", "x", "a.b.c", "a,b", "é.é.é", "e30.e30.", "x" * 5000])
def test_it_refuses_nonsense_for_a_proof(laptop: Laptop, proof: str) -> None:
    refused = laptop.client.get(
        ME, headers={"Authorization": f"Bearer {laptop.token}", "DPoP": proof}
    )
    assert refused.status_code == 401


def test_it_refuses_a_device_of_another_person(
    laptop: Laptop, steward: Actor, bearer: Callable[..., dict[str, str]]
) -> None:
    laptop.enroll()
    laptop.token = bearer(steward)["Authorization"].removeprefix("Bearer ")

    assert laptop.get().status_code == 401


def test_it_accepts_no_proof_while_replays_cannot_be_checked(laptop: Laptop) -> None:
    with override_settings(CACHES=UNREACHABLE):
        refused = laptop.get()
    assert refused.status_code == 503
    assert refused.json()["code"] == "replay-check-unavailable"


def test_it_says_so_when_nobody_can_sign_in(cast: Cast) -> None:
    form = {"login": "analyst@demo-air.example", "password": PASSWORD}
    with override_settings(CACHES=UNREACHABLE):
        login = Client().post("/accounts/login/", form)
        code = as_form("/identity/o/api/device/code", client_id="upend-cli")
        health = Client().get("/health/ready")
    assert (login.status_code, login.json()["code"]) == (503, "broker-unreachable")
    assert (code.status_code, code.json()["error"]) == (503, "temporarily_unavailable")
    assert health.status_code == 200


def test_it_slows_down_who_asks_for_many_codes(cast: Cast) -> None:
    answers = [as_form("/identity/o/api/device/code", client_id="stranger") for _ in range(21)]

    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["Retry-After"]) <= 60
    assert answers[0].status_code == 400


def test_it_grants_nothing_to_a_denied_code(
    analyst: Actor, signed_in: Callable[[Actor], Client]
) -> None:
    asked = as_form("/identity/o/api/device/code", client_id="upend-cli").json()
    page = f"/identity/o/device?code={asked['user_code']}"
    assert signed_in(analyst).post(page, {"action": "deny"}).status_code == 200

    refused = as_form(
        "/identity/o/api/token",
        grant_type=GRANT,
        device_code=asked["device_code"],
        client_id="upend-cli",
    )
    assert refused.status_code == 400
    assert refused.json()["error"] == "access_denied"
