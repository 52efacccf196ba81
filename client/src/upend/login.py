"""Logging in: a person approves this machine in a browser, then the machine enrols its key."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

from upend import __version__, machine
from upend.api import Api
from upend.device import DeviceKey
from upend.errors import NotLoggedIn, Refused, Unreachable, UpendError
from upend.profile import Credentials, Profile, Store

CLIENT_ID = "upend-cli"
DEVICE_CODE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
CODE_PATH = "/identity/o/api/device/code"
TOKEN_PATH = "/identity/o/api/token"  # noqa: S105  # an address
REVOKE_PATH = "/identity/o/api/revoke"
RENEW_BEFORE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Authorization:
    """What the person must do: open `url` and confirm that it shows `user_code` (RFC 8628)."""

    device_code: str
    user_code: str
    url: str
    expires_at: float
    interval_seconds: float


@dataclass(frozen=True, slots=True)
class Enrolment:
    """Where this machine stands with the server."""

    id: str
    name: str
    status: str

    @property
    def is_approved(self) -> bool:
        """Tell whether queries may run on this machine."""
        return self.status == "approved"


def begin(api: Api, *, scopes: Sequence[str] = ()) -> Authorization:
    """Ask the server for a code that a person can approve (RFC 8628 section 3.1).

    Without `scopes` the login may read catalogs, run queries and enrol this device.
    """
    form = {"client_id": CLIENT_ID} | ({"scope": " ".join(scopes)} if scopes else {})
    answer = api.form(CODE_PATH, form)
    body = _json(answer)
    if answer.status_code != HTTPStatus.OK or "device_code" not in body:
        raise _oauth_error(body, answer.status_code)
    return Authorization(
        device_code=body["device_code"],
        user_code=body["user_code"],
        url=body.get("verification_uri_complete") or body["verification_uri"],
        expires_at=time.time() + float(body.get("expires_in", 300)),
        interval_seconds=float(body.get("interval", 5)),
    )


def wait(
    api: Api, authorization: Authorization, *, sleep: Callable[[float], None] = time.sleep
) -> Credentials:
    """Poll until the person has decided (RFC 8628 section 3.5).

    Raises NotLoggedIn when the code is denied or expires.
    """
    interval = authorization.interval_seconds
    form = {
        "grant_type": DEVICE_CODE_GRANT,
        "device_code": authorization.device_code,
        "client_id": CLIENT_ID,
    }
    while time.time() < authorization.expires_at:
        sleep(interval)
        try:
            answer = api.form(TOKEN_PATH, form)
        except Unreachable:
            interval *= 2  # section 3.5: back off on timeouts, the code is still good
            continue
        body = _json(answer)
        if answer.status_code == HTTPStatus.OK:
            return _credentials(body)
        if body.get("error") == "slow_down":
            interval += 5
        elif body.get("error") != "authorization_pending":
            raise _oauth_error(body, answer.status_code)
    raise _expired()


class Session:
    """The tokens of a login, renewed when they run out and kept in the store."""

    def __init__(self, store: Store, profile: Profile, credentials: Credentials) -> None:
        self._store = store
        self._profile = profile
        self._credentials = credentials

    def current(self) -> str:
        """Return an access token, renewed first if it is about to expire."""
        expires_at = self._credentials.expires_at
        if expires_at and expires_at - time.time() < RENEW_BEFORE_SECONDS:
            self.renewed()
        return self._credentials.access_token

    def renewed(self) -> str | None:
        """Return a new access token for the refresh token, None if the server refuses.

        Refresh tokens are used once: if another process of this person was quicker, its tokens
        are in the store and are taken from there.
        """
        stored = self._store.credentials(self._profile)
        if stored and stored.access_token != self._credentials.access_token:
            self._credentials = stored
            return stored.access_token
        if not self._credentials.refresh_token:
            return None
        form = {
            "grant_type": "refresh_token",
            "refresh_token": self._credentials.refresh_token,
            "client_id": CLIENT_ID,
        }
        with Api(self._profile.url) as api:
            answer = api.form(TOKEN_PATH, form)
        if answer.status_code != HTTPStatus.OK:
            return None
        fresh = _credentials(_json(answer))
        if not fresh.refresh_token:
            fresh = replace(fresh, refresh_token=self._credentials.refresh_token)
        self._credentials = fresh
        self._store.save_credentials(self._profile, fresh)
        return fresh.access_token


def enrol(api: Api, store: Store, profile: Profile, *, name: str = "") -> Enrolment:
    """Make this machine known to the server; from then on `api` speaks as the device.

    A key that was revoked, or is somebody else's (a shared machine), is replaced by a fresh one.
    """
    path = store.device_path(profile)
    key = DeviceKey.load(path) or DeviceKey.generate(path)
    try:
        document = _enrol(api, key, name)
    except Refused as refusal:
        if refusal.status != HTTPStatus.CONFLICT and refusal.code != "device-proof-refused":
            raise
        key = DeviceKey.generate(path)
        document = _enrol(api, key, name)
    enrolment = enrolment_of(document)
    store.save(replace(profile, device_id=enrolment.id))
    return enrolment


def _enrol(api: Api, key: DeviceKey, name: str) -> dict[str, Any]:
    api.device = key  # the proof on the request shows that we hold the private half
    body = {
        "name": name or machine.name(),
        "platform": machine.description(),
        "client_version": __version__,
        "public_jwk": key.public_jwk,
        "memory_bytes": machine.memory_bytes(),
    }
    document: dict[str, Any] = api.post("/api/v1/devices", body, prove=True)
    return document


def enrolment_of(document: dict[str, Any]) -> Enrolment:
    """Return the enrolment that a device document of the API describes."""
    return Enrolment(
        id=str(document["id"]), name=str(document["name"]), status=str(document["status"])
    )


def revoke(api: Api, credentials: Credentials) -> bool:
    """Tell the server to forget the tokens (RFC 7009); return whether it did."""
    token = credentials.refresh_token or credentials.access_token
    try:
        answer = api.form(REVOKE_PATH, {"token": token, "client_id": CLIENT_ID})
    except UpendError:
        return False
    return answer.status_code == HTTPStatus.OK


def _credentials(body: dict[str, Any]) -> Credentials:
    return Credentials(
        access_token=str(body["access_token"]),
        refresh_token=str(body.get("refresh_token", "")),
        expires_at=time.time() + float(body.get("expires_in", 3600)),
    )


def _json(answer: Any) -> dict[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        body = {}
    return body if isinstance(body, dict) else {}


def _oauth_error(body: dict[str, Any], status: int) -> UpendError:
    error = str(body.get("error", f"http-{status}"))
    # django-allauth forgets an expired code, and then knows no such grant.
    if error in {"expired_token", "invalid_grant"}:
        return _expired()
    if error == "access_denied":
        return NotLoggedIn(
            "The login was denied in the browser.",
            code="login-denied",
            hint="Run `upend login` again and approve it, if it was you.",
        )
    detail = body.get("error_description") or f"The server answered {status} ({error})."
    return NotLoggedIn(
        f"The server did not accept the login: {detail}",
        code="login-failed",
        hint="Check that the address is an Upend server of a matching version.",
    )


def _expired() -> NotLoggedIn:
    return NotLoggedIn(
        "The code expired before it was approved.",
        code="login-expired",
        hint="Run `upend login` again.",
    )
