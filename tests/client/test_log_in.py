"""A person logs in over real HTTP: device code, browser, tokens, enrolment, approval, logout."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from pytest_django.live_server_helper import LiveServer

import upend
from accounts.domain import Actor
from tests.cast import PASSWORD, Cast
from tests.client.browser import Browser
from upend import cli, login
from upend.api import Api
from upend.device import DeviceKey
from upend.errors import NotLoggedIn, Refused
from upend.profile import Credentials, Profile, Store


@pytest.fixture
def server(
    live_server: LiveServer,
    cast: Cast,
    settings: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """Return the address of a server with the cast in it; the client's files are the test's own."""
    settings.PUBLIC_URL = live_server.url
    settings.ACCOUNT_RATE_LIMITS = settings.IDP_OIDC_RATE_LIMITS = False  # one address, many logins
    monkeypatch.setenv("UPEND_CONFIG_DIR", str(tmp_path / "config"))
    for name in ("UPEND_URL", "UPEND_TOKEN", "UPEND_WORKSPACE"):
        monkeypatch.delenv(name, raising=False)
    return live_server.url


def impatient() -> Callable[[float], None]:
    """Return a `sleep` that takes no time, a few times."""
    left = iter(range(3))

    def sleep(seconds: float) -> None:
        assert next(left, None) is not None, f"still waiting, {seconds} s more"

    return sleep


def browser(server: str, name: str) -> Browser:
    return Browser(server, f"{name}@demo-air.example", PASSWORD)


@pytest.fixture
def log_in(server: str) -> Generator[Callable[[str], upend.Connection]]:
    opened: list[upend.Connection] = []

    def logged_in(name: str) -> upend.Connection:
        store, profile = Store(), Profile("test", server)
        with Api(server) as api:
            authorization = login.begin(api)
            browser(server, name).decide(authorization.url, "confirm")
            credentials = login.wait(api, authorization, sleep=impatient())
        store.save(profile, make_default=True)
        store.save_credentials(profile, credentials)
        connection = upend.connect()
        opened.append(connection)
        return connection

    yield logged_in
    for connection in opened:
        connection.close()


def test_it_logs_in_enrols_and_is_approved(
    log_in: Callable[[str], upend.Connection],
    signed_in: Callable[[Actor], Client],
    owner: Actor,
) -> None:
    connection = log_in("analyst")
    assert connection.api.get("/api/v1/me")["email"] == "analyst@demo-air.example"
    assert connection.workspace == "flight-ops"
    enrolment = login.enrol(connection.api, connection.store, connection.profile)
    assert enrolment.status == "pending"
    assert signed_in(owner).post(f"/api/v1/devices/{enrolment.id}/approve").status_code == 200
    device = connection.api.get("/api/v1/me", prove=True)["device"]
    assert (device["id"], device["status"]) == (enrolment.id, "approved")
    again = login.enrol(connection.api, connection.store, connection.profile, name="Ana's laptop")
    assert (again.id, again.name, again.is_approved) == (enrolment.id, "Ana's laptop", True)


def test_it_makes_a_new_key_where_somebody_else_used_the_machine(
    log_in: Callable[[str], upend.Connection],
) -> None:
    first = log_in("analyst")
    one = login.enrol(first.api, first.store, first.profile)
    second = log_in("steward")
    other = login.enrol(second.api, second.store, second.profile)
    assert one.id != other.id
    key = DeviceKey.load(second.store.device_path(second.profile))
    assert key is not None
    assert [device["thumbprint"] for device in second.devices()] == [key.thumbprint]


def test_it_makes_a_new_key_after_a_revocation(
    log_in: Callable[[str], upend.Connection],
) -> None:
    connection = log_in("analyst")
    one = login.enrol(connection.api, connection.store, connection.profile)
    assert connection.decide_device(one.id, "revoke")["status"] == "revoked"
    other = login.enrol(connection.api, connection.store, connection.profile)
    assert (other.status, other.id != one.id) == ("pending", True)


def test_it_renews_its_tokens_and_keeps_them(
    log_in: Callable[[str], upend.Connection],
) -> None:
    connection = log_in("analyst")
    before = connection.store.credentials(connection.profile)
    assert before is not None
    stale = Credentials("stale", before.refresh_token, time.time() + 3600)
    connection.store.save_credentials(connection.profile, stale)
    with upend.connect() as later:
        assert later.api.get("/api/v1/me")["email"] == "analyst@demo-air.example"
    after = connection.store.credentials(connection.profile)
    assert after is not None
    assert after.access_token not in {"stale", before.access_token}
    expired = Credentials(after.access_token, after.refresh_token, time.time() - 1)
    connection.store.save_credentials(connection.profile, expired)
    with upend.connect() as later:
        assert later.workspaces()


def test_it_says_when_the_login_was_denied(server: str) -> None:
    with Api(server) as api:
        authorization = login.begin(api)
        browser(server, "analyst").decide(authorization.url, "deny")
        with pytest.raises(NotLoggedIn) as denied:
            login.wait(api, authorization, sleep=impatient())
    assert denied.value.code == "login-denied"


@pytest.mark.parametrize("change", [{"expires_at": 0.0}, {"device_code": "forgotten"}])
def test_it_says_when_the_code_has_expired(server: str, change: dict[str, Any]) -> None:
    with Api(server) as api:
        authorization = replace(login.begin(api), **change)
        with pytest.raises(NotLoggedIn) as expired:
            login.wait(api, authorization, sleep=impatient())
    assert expired.value.code == "login-expired"
    assert "upend login" in expired.value.hint


def test_it_waits_longer_when_told_to_slow_down(server: str) -> None:
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise KeyboardInterrupt

    with Api(server) as api, pytest.raises(KeyboardInterrupt):
        login.wait(api, login.begin(api), sleep=sleep)
    assert pauses == [5, 5, 10]


def test_it_may_not_approve_itself(log_in: Callable[[str], upend.Connection]) -> None:
    connection = log_in("analyst")
    enrolment = login.enrol(connection.api, connection.store, connection.profile)
    with pytest.raises(Refused) as refusal:
        connection.decide_device(enrolment.id, "approve")
    assert refusal.value.status == 403
    assert refusal.value.request_id


def test_it_works_from_the_command_line(
    server: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[threading.Thread] = []

    def browse(url: str) -> bool:
        ana = browser(server, "analyst")
        opened.append(threading.Thread(target=ana.decide, args=(url, "confirm")))
        opened[-1].start()
        return True

    monkeypatch.setattr("webbrowser.open", browse)
    assert cli.run(["login", server, "--name", "Ana's laptop", "-w", "flight-ops"]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert "Logged in" in said.err
    assert "Ana's laptop" in said.err
    assert f"{server}/devices" in said.err
    opened[0].join()
    assert cli.run(["whoami"]) == 0
    told = capsys.readouterr().out
    assert "analyst@demo-air.example" in told
    assert "Ana's laptop (pending)" in told
    assert cli.run(["devices"]) == 0
    assert "this machine" in capsys.readouterr().out
    assert cli.run(["logout"]) == 0
    assert "Logged out" in capsys.readouterr().err
    assert cli.run(["whoami"]) == 4
    assert "upend login" in capsys.readouterr().err
