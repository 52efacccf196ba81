"""A second factor: an authenticator app can be set up, is asked for, and shows in the actor."""

from __future__ import annotations

from allauth.mfa.totp.internal import auth as totp
from django.core.cache import cache
from django.test import Client

from audit.domain import Event
from audit.models import AuditRecord
from tests.cast import PASSWORD, Cast

LOGIN = {"login": "analyst@demo-air.example", "password": PASSWORD}


def test_it_signs_in_with_an_authenticator_app(cast: Cast) -> None:
    browser = Client()
    browser.post("/accounts/login/", LOGIN)
    assert browser.get("/api/v1/me").json()["mfa"] is False
    assert browser.post("/accounts/reauthenticate/", {"password": PASSWORD}).status_code == 302
    page = browser.get("/accounts/2fa/totp/activate/")
    secret = page.context["form"].secret
    counter = next(totp.yield_hotp_counters_from_time())
    code = totp.format_hotp_value(totp.hotp_value(secret, counter))
    assert browser.post("/accounts/2fa/totp/activate/", {"code": code}).status_code == 302

    again = Client()
    asked = again.post("/accounts/login/", LOGIN)
    assert asked.status_code == 302
    assert "2fa/authenticate" in asked["Location"]
    assert again.get("/api/v1/me").status_code == 401
    cache.clear()  # a code is good once; the clock does not move fast enough for a second one
    assert again.post("/accounts/2fa/authenticate/", {"code": code}).status_code == 302
    assert again.get("/api/v1/me").json()["mfa"] is True
    records = AuditRecord.objects.filter(event=Event.USER_LOGGED_IN).order_by("id")
    assert [record.after for record in records] == [{"mfa": False}, {"mfa": True}]


def test_it_offers_passkeys(cast: Cast) -> None:
    browser = Client()
    browser.post("/accounts/login/", LOGIN)
    browser.post("/accounts/reauthenticate/", {"password": PASSWORD})

    page = browser.get("/accounts/2fa/webauthn/add/")
    assert page.status_code == 200
    assert "creation_options" in page.context["js_data"]
