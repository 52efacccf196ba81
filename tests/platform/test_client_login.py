"""The real client signs in to the real server: both sides of the device grant and of DPoP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from accounts.domain import DeviceStatus
from accounts.models import Device
from tests.cast import Cast
from upend import login
from upend.api import Api
from upend.profile import Profile, Store


@pytest.fixture
def server(live_server: LiveServer, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the address of a served Upend, which is also its public one."""
    # The server's threads must not keep connections that outlive the test's database.
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", 0)
    settings.PUBLIC_URL = live_server.url
    cache.clear()
    return str(live_server.url)


@pytest.fixture
def connect(server: str) -> Iterator[Callable[..., Api]]:
    """Return a maker of connections to the server, closed with the test."""
    with ExitStack() as stack:

        def opened(tokens: login.Session | None = None) -> Api:
            api = Api(server, tokens=tokens)
            stack.callback(api.close)
            return api

        yield opened


@pytest.mark.django_db(transaction=True)
def test_it_signs_in_enrolls_and_renews(
    server: str, connect: Callable[..., Api], cast: Cast, tmp_path: Path
) -> None:
    store, profile = Store(tmp_path), Profile("test", server)
    authorization = login.begin(connect())
    browser = Client()
    browser.force_login(cast.users["analyst"])

    def approve_meanwhile(_: float) -> None:
        address = urlsplit(authorization.url)
        browser.post(f"{address.path}?{address.query}", {"action": "confirm"})

    credentials = login.wait(connect(), authorization, sleep=approve_meanwhile)
    session = login.Session(store, profile, credentials)
    api = connect(session)
    assert not login.enrol(api, store, profile, name="laptop").is_approved
    Device.objects.update(status=DeviceStatus.APPROVED)

    assert api.get("/api/v1/me", prove=True)["device"]["status"] == "approved"
    assert login.enrol(api, store, profile).is_approved
    assert session.renewed() != credentials.access_token
    assert api.get("/api/v1/me")["email"] == "analyst@demo-air.example"
    workspaces = api.get("/api/v1/workspaces")["results"]
    assert [row["name"] for row in workspaces] == ["Flight operations"]
