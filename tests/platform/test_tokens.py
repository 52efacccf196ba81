"""API tokens: shown once, narrowed by scopes, dead when expired, revoked or without an owner."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from accounts import services as accounts
from accounts.domain import Actor, Scope
from accounts.models import ApiToken, User
from audit.models import AuditRecord
from problems import Invalid
from tests.cast import Cast

ME = "/api/v1/me"
Headers = dict[str, str]


def tomorrow() -> str:
    return (timezone.now() + timedelta(days=1)).isoformat()


def test_it_shows_a_token_once_and_keeps_only_its_digest(
    analyst: Actor, signed_in: Callable[[Actor], Client]
) -> None:
    browser = signed_in(analyst)
    body = {"name": "notebook", "scopes": ["query:run"], "expires_at": tomorrow()}
    created = browser.post("/api/v1/tokens", body, content_type="application/json")

    assert created.status_code == 201
    text = created.json()["token"]
    assert text.startswith(f"upend_{created.json()['prefix']}_")
    assert text not in browser.get("/api/v1/tokens").content.decode()
    assert text.rpartition("_")[2] not in str(ApiToken.objects.values().get())
    assert text not in str(list(AuditRecord.objects.values()))
    me = Client().get(ME, headers={"Authorization": f"Bearer {text}"}).json()
    assert me["email"] == "analyst@demo-air.example"
    assert me["scopes"] == ["query:run"]


def test_it_notes_the_use_of_a_token_at_most_once_a_minute(
    analyst: Actor, bearer: Callable[..., Headers]
) -> None:
    headers = bearer(analyst)
    Client().get(ME, headers=headers)
    first = ApiToken.objects.get().last_used_at
    Client().get(ME, headers=headers)

    assert first is not None
    assert ApiToken.objects.get().last_used_at == first


def test_it_answers_a_program_without_what_browsers_need(
    analyst: Actor, bearer: Callable[..., Headers], signed_in: Callable[[Actor], Client]
) -> None:
    program = Client().get(ME, headers=bearer(analyst))
    browser = signed_in(analyst).get(ME)

    assert program.json()["email"] == browser.json()["email"]
    assert "Cookie" not in program.headers.get("Vary", "")
    assert "Cookie" in browser.headers["Vary"]
    assert program.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert program.headers["X-Frame-Options"] == browser.headers["X-Frame-Options"]
    assert len(program.headers["X-Request-Id"]) == 32


def test_it_answers_no_program_under_a_name_that_is_not_ours(
    analyst: Actor, bearer: Callable[..., Headers]
) -> None:
    answer = Client().get(ME, headers=bearer(analyst) | {"Host": "rebound.example"})
    assert answer.status_code == 400


def test_it_takes_no_session_in_the_place_of_a_bad_bearer(
    analyst: Actor, signed_in: Callable[[Actor], Client]
) -> None:
    answer = signed_in(analyst).get(ME, headers={"Authorization": "Bearer upend_no_such"})
    assert answer.status_code == 401


@pytest.mark.parametrize("fate", ["expired", "revoked", "owner disabled", "changed", "nonsense"])
def test_it_refuses_a_dead_token(
    fate: str, analyst: Actor, cast: Cast, bearer: Callable[..., Headers]
) -> None:
    headers = bearer(analyst)
    match fate:
        case "expired":
            ApiToken.objects.update(expires_at=timezone.now())
        case "revoked":
            accounts.revoke_token(actor=analyst, token=ApiToken.objects.get())
        case "owner disabled":
            User.objects.filter(id=analyst.id).update(is_active=False)
        case "changed":
            headers = {"Authorization": headers["Authorization"][:-1] + "!"}
        case _:
            headers = {"Authorization": "Bearer upend__"}
    refused = Client().get(ME, headers=headers)

    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"] == 'Bearer realm="upend"'
    assert refused.json()["code"] == "authentication-failed"


def test_it_stops_a_disabled_program_at_once(
    agent: Actor, owner: Actor, cast: Cast, bearer: Callable[..., Headers]
) -> None:
    headers = bearer(agent)
    assert Client().get(ME, headers=headers).json()["kind"] == "service_account"
    accounts.disable_service_account(actor=owner, account=cast.agent)

    assert Client().get(ME, headers=headers).status_code == 401


def test_it_refuses_a_token_whose_scopes_do_not_reach(
    owner: Actor, bearer: Callable[..., Headers]
) -> None:
    refused = Client().get("/api/v1/tokens", headers=bearer(owner, Scope.QUERY_RUN))

    assert refused.status_code == 403
    assert refused.json()["code"] == "insufficient-scope"
    assert refused.json()["required_scope"] == "admin"


@pytest.mark.parametrize(
    ("scopes", "days"), [(set(), 1), ({Scope.QUERY_RUN}, 0), ({Scope.QUERY_RUN}, 400)]
)
def test_it_refuses_a_token_without_bounds(
    scopes: set[Scope], days: int, analyst: Actor, cast: Cast
) -> None:
    with pytest.raises(Invalid):
        accounts.create_token(
            actor=analyst,
            owner=cast.users["analyst"],
            name="loose",
            scopes=frozenset(scopes),
            expires_at=timezone.now() + timedelta(days=days),
        )


def test_it_lets_no_token_make_a_wider_one(owner: Actor, bearer: Callable[..., Headers]) -> None:
    body = {"name": "wider", "scopes": ["query:run"], "expires_at": tomorrow()}
    refused = Client().post(
        "/api/v1/tokens",
        body,
        content_type="application/json",
        headers=bearer(owner, Scope.ADMIN),
    )
    assert refused.status_code == 422


def test_it_asks_a_session_for_its_csrf_token(cast: Cast) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(cast.users["analyst"])
    body = {"name": "forged", "scopes": ["query:run"], "expires_at": tomorrow()}

    refused = browser.post("/api/v1/tokens", body, content_type="application/json")
    assert refused.status_code == 403
    assert not ApiToken.objects.exists()
