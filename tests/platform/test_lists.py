"""Lists cost the same number of queries however long they are."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from joserfc.jwk import OKPKey

from accounts import services as accounts
from accounts.domain import Actor, Scope
from tests.cast import Cast
from workspaces import services as workspaces
from workspaces.domain import WorkspaceRole


def grow(actor: Actor, cast: Cast, number: int) -> None:
    """Add one of everything that the lists show."""
    jwk = OKPKey.generate_key("Ed25519").as_dict(private=False)
    public = {"kty": "OKP", "crv": "Ed25519", "x": str(jwk["x"])}
    accounts.enroll_device(actor=actor, name=f"laptop {number}", public_jwk=public)
    person = accounts.create_user(
        actor=actor, organization=cast.organization, email=f"p{number}@demo-air.example"
    )
    workspaces.grant_membership(
        actor=actor, workspace=cast.workspace, principal=person, role=WorkspaceRole.ANALYST
    )
    accounts.create_token(
        actor=actor,
        owner=cast.users["owner"],
        name=f"token {number}",
        scopes=frozenset({Scope.QUERY_RUN}),
        expires_at=timezone.now() + timedelta(days=1),
    )


@pytest.mark.parametrize(
    "path", ["devices", "tokens", "events", "people", "workspaces/flight-ops/members"]
)
def test_it_costs_no_more_for_more_rows(
    path: str, owner: Actor, cast: Cast, signed_in: Callable[[Actor], Client]
) -> None:
    client = signed_in(owner)

    def cost() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert client.get(f"/api/v1/{path}").status_code == 200
        return len(captured)

    grow(owner, cast, 0)
    before = cost()
    for number in range(1, 5):
        grow(owner, cast, number)
    assert cost() == before
