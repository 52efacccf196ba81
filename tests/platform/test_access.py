"""Who may call what: actor by verb, and that no endpoint is left out of the table."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from accounts import services as accounts
from accounts.domain import Actor
from api.permissions import HasActor
from tests.cast import Cast
from workspaces.models import Membership

ACTORS = ("owner", "steward", "analyst", "agent", "auditor", "outsider", "nobody")
WORKSPACE = "/api/v1/workspaces/flight-ops"
DEVICE = "/api/v1/devices/{device}"
TABLE: list[tuple[str, str, tuple[int, ...]]] = [
    ("GET", "/api/v1/me", (200, 200, 200, 200, 200, 200, 401)),
    ("GET", "/api/v1/workspaces", (200, 200, 200, 200, 200, 200, 401)),
    ("POST", "/api/v1/workspaces", (201, 403, 403, 403, 403, 201, 401)),
    ("GET", WORKSPACE, (200, 200, 200, 200, 200, 404, 401)),
    ("PATCH", WORKSPACE, (200, 403, 403, 403, 403, 404, 401)),
    ("GET", "/api/v1/tokens", (200, 200, 200, 200, 200, 200, 401)),
    ("POST", "/api/v1/tokens", (201, 201, 201, 404, 201, 201, 401)),
    ("DELETE", "/api/v1/tokens/{token}", (204, 404, 204, 404, 403, 404, 401)),
    ("GET", "/api/v1/devices", (200, 200, 200, 200, 200, 200, 401)),
    ("POST", "/api/v1/devices", (401, 401, 401, 401, 401, 401, 401)),  # no proof of a key
    ("PATCH", DEVICE, (200, 404, 403, 404, 403, 404, 401)),
    ("POST", f"{DEVICE}/approve", (200, 404, 403, 404, 403, 404, 401)),
    ("POST", f"{DEVICE}/revoke", (200, 404, 200, 404, 403, 404, 401)),
    ("POST", f"{DEVICE}/reset-predictions", (200, 404, 200, 404, 403, 404, 401)),
    ("GET", f"{WORKSPACE}/events", (200, 200, 200, 200, 200, 404, 401)),
    ("GET", f"{WORKSPACE}/events/export", (200, 200, 200, 200, 200, 404, 401)),
    ("GET", f"{WORKSPACE}/members", (200, 200, 200, 200, 200, 404, 401)),
    ("POST", f"{WORKSPACE}/members", (201, 403, 403, 403, 403, 404, 401)),
    ("DELETE", f"{WORKSPACE}/members/{{membership}}", (204, 403, 403, 403, 403, 404, 401)),
    ("GET", "/api/v1/organization", (200, 200, 200, 200, 200, 200, 401)),
    ("PATCH", "/api/v1/organization", (200, 403, 403, 403, 403, 200, 401)),
    ("GET", "/api/v1/organization/tags", (200, 200, 200, 200, 200, 200, 401)),
    ("POST", "/api/v1/organization/tags", (422, 403, 403, 403, 403, 422, 401)),
    ("PATCH", "/api/v1/organization/tags/none", (404, 404, 404, 404, 404, 404, 401)),
    ("DELETE", "/api/v1/organization/tags/none", (404, 404, 404, 404, 404, 404, 401)),
    ("PUT", f"{WORKSPACE}/tags/finance", (200, 200, 403, 403, 403, 404, 401)),
    ("DELETE", f"{WORKSPACE}/tags/finance", (422, 422, 403, 403, 403, 404, 401)),
    ("GET", "/api/v1/people", (200, 200, 200, 200, 200, 200, 401)),
    ("POST", "/api/v1/people", (201, 403, 403, 403, 403, 201, 401)),
    ("PUT", "/api/v1/people/{person}/attributes", (200, 403, 403, 403, 403, 404, 401)),
    ("PUT", "/api/v1/service-accounts/{agent}/attributes", (200, 403, 403, 403, 403, 404, 401)),
    ("GET", "/api/v1/service-accounts", (200, 200, 200, 200, 200, 200, 401)),
    ("POST", "/api/v1/service-accounts", (201, 403, 403, 403, 403, 201, 401)),
    ("POST", "/api/v1/service-accounts/{agent}/disable", (200, 403, 403, 403, 403, 404, 401)),
    ("GET", "/api/v1/events", (200, 200, 200, 200, 200, 200, 401)),
    ("GET", "/api/v1/events/export", (200, 200, 200, 200, 200, 200, 401)),
    ("GET", "/api/v1/schema", (200, 200, 200, 200, 200, 200, 200)),
    ("GET", "/.well-known/upend-keys.json", (200, 200, 200, 200, 200, 200, 200)),
    ("GET", "/health/live", (200, 200, 200, 200, 200, 200, 200)),
    ("GET", "/health/ready", (200, 200, 200, 200, 200, 200, 200)),
]
CASES = [
    (verb, path, name, str(status))
    for verb, path, statuses in TABLE
    for name, status in zip(ACTORS, statuses, strict=True)
]


def body_of(path: str, addresses: dict[str, str]) -> dict[str, Any]:
    if path.endswith("/members"):
        whom = {"principal_kind": "user", "principal_id": addresses["steward"]}
        return whom | {"role": "analyst"}
    if path.endswith("/organization"):
        return {"local_mode_enabled": False}
    if path.endswith("/people"):
        return {"email": "new@demo-air.example"}
    if path.endswith("/tokens"):
        expires_at = (timezone.now() + timedelta(days=1)).isoformat()
        return {"name": "t", "scopes": ["query:run"], "expires_at": expires_at}
    if path.endswith("/devices"):
        jwk = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
        return {"name": "d", "public_jwk": jwk}
    return {"name": "New", "slug": "new", "max_running_queries": 3, "attributes": {"region": "eu"}}


@pytest.fixture
def addresses(cast: Cast) -> dict[str, str]:
    """Return the ids of what the paths name; the device and the token are the analyst's."""
    analyst = cast.actor("analyst")
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    device = accounts.enroll_device(actor=analyst, name="laptop", public_jwk=jwk)
    issued = accounts.create_token(
        actor=analyst,
        owner=cast.users["analyst"],
        name="mine",
        scopes=frozenset({"query:run"}),  # type: ignore[arg-type]
        expires_at=timezone.now() + timedelta(days=1),
    )
    return {
        "device": str(device.id),
        "token": str(issued.token.id),
        "membership": str(Membership.objects.get(user=cast.users["steward"]).id),
        "steward": str(cast.users["steward"].id),
        "agent": str(cast.agent.id),
        "person": str(cast.users["analyst"].id),
    }


@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_it_answers_each_actor(
    case: tuple[str, str, str, str],
    cast: Cast,
    addresses: dict[str, str],
    signed_in: Callable[[Actor], Client],
) -> None:
    verb, path, name, status = case
    client = Client() if name == "nobody" else signed_in(cast.actor(name))
    path = path.format(**addresses)
    body = json.dumps(body_of(path, addresses)) if verb in {"POST", "PUT", "PATCH"} else ""
    answer = client.generic(verb, path, data=body, content_type="application/json")
    assert answer.status_code == int(status), getattr(answer, "content", b"")[:500]
    if int(status) >= 400:
        assert answer.headers["Content-Type"] == "application/problem+json"


def _views(patterns: list[Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for pattern in patterns:
        where = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            found += _views(pattern.url_patterns, where)
        elif isinstance(pattern, URLPattern) and hasattr(pattern.callback, "cls"):
            found.append((where, pattern.callback))
    return found


def test_it_gives_every_endpoint_scopes_for_every_method() -> None:
    missing = []
    for where, callback in _views(get_resolver().url_patterns):
        view = callback.cls
        permissions = callback.initkwargs.get("permission_classes", view.permission_classes)
        if HasActor not in permissions:
            continue
        methods = set(getattr(callback, "actions", {})) or {
            m for m in view.http_method_names if hasattr(view, m)
        }
        declared = {m.lower() for m in getattr(view, "required_scopes", {})}
        missing += [f"{m} {where}" for m in methods - declared - {"options", "head"}]
    assert not missing, "a token can never call these: declare required_scopes"
