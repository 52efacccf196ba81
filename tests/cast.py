"""The fixed cast that every test plays with: real rows made by the real services.

`owner`, `steward`, `analyst`, `agent`, `auditor` and `outsider` are `Actor`s; `workspace` is
where all but the outsider belong. `cast` holds the rows; `signed_in(actor)` gives an HTTP client.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from accounts import keys
from accounts import services as accounts
from accounts.domain import SYSTEM, Actor, OrganizationRole, Scope
from accounts.models import Organization, ServiceAccount, User
from accounts.selectors import actor_for_service_account, actor_for_user
from workspaces import services as workspaces
from workspaces.domain import WorkspaceRole
from workspaces.models import Workspace

PASSWORD = "a-duck-upends-to-feed"
PEOPLE = {
    "owner": (OrganizationRole.ADMIN, WorkspaceRole.OWNER),
    "steward": (OrganizationRole.MEMBER, WorkspaceRole.STEWARD),
    "analyst": (OrganizationRole.MEMBER, WorkspaceRole.ANALYST),
    "auditor": (OrganizationRole.AUDITOR, WorkspaceRole.AUDITOR),
}


@dataclass(frozen=True)
class Cast:
    """The rows behind the actors."""

    organization: Organization
    workspace: Workspace
    users: dict[str, User]
    agent: ServiceAccount
    other_organization: Organization
    other_workspace: Workspace

    def actor(self, name: str) -> Actor:
        """Return one of the cast as the actor of a request."""
        if name == "agent":
            return actor_for_service_account(self.agent, request_id="test-request")
        return actor_for_user(self.users[name], request_id="test-request", address="127.0.0.1")


@pytest.fixture(scope="session", autouse=True)
def _secrets(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Seal with a key of the suite's own; hash passwords fast, since none here is secret."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.KEY_FILE = Path(tmp_path_factory.mktemp("keys") / "key-encryption.key")
    keys.ensure_key_file(settings.KEY_FILE)


def _people(organization: Organization) -> dict[str, User]:
    return {
        name: accounts.create_user(
            actor=SYSTEM,
            organization=organization,
            email=f"{name}@demo-air.example",
            name=f"{name.capitalize()} of Demo Air",
            password=PASSWORD,
            organization_role=role,
        )
        for name, (role, _) in PEOPLE.items()
    }


@pytest.fixture
def cast(db: None) -> Cast:
    """Create two organizations, the cast in them, and a workspace each."""
    organization = accounts.create_organization(actor=SYSTEM, name="Demo Air", slug="demo-air")
    users = _people(organization)
    workspace = workspaces.create_workspace(
        actor=SYSTEM, organization=organization, name="Flight operations", slug="flight-ops"
    )
    agent = accounts.create_service_account(
        actor=SYSTEM, organization=organization, name="agent", created_by=users["owner"]
    )
    for name, (_, role) in PEOPLE.items():
        workspaces.grant_membership(
            actor=SYSTEM, workspace=workspace, principal=users[name], role=role
        )
    workspaces.grant_membership(
        actor=SYSTEM, workspace=workspace, principal=agent, role=WorkspaceRole.ANALYST
    )
    other = accounts.create_organization(actor=SYSTEM, name="Elsewhere", slug="elsewhere")
    users["outsider"] = accounts.create_user(
        actor=SYSTEM,
        organization=other,
        email="outsider@elsewhere.example",
        password=PASSWORD,
        organization_role=OrganizationRole.ADMIN,
    )
    outside = workspaces.create_workspace(
        actor=actor_for_user(users["outsider"]), organization=other, name="Outside", slug="outside"
    )
    return Cast(organization, workspace, users, agent, other, outside)


@pytest.fixture
def workspace(cast: Cast) -> Workspace:
    """Return the cast's workspace, `flight-ops`."""
    return cast.workspace


@pytest.fixture
def owner(cast: Cast) -> Actor:
    """Return the organization's admin, who owns the workspace."""
    return cast.actor("owner")


@pytest.fixture
def steward(cast: Cast) -> Actor:
    """Return who answers for the data."""
    return cast.actor("steward")


@pytest.fixture
def analyst(cast: Cast) -> Actor:
    """Return who asks the questions."""
    return cast.actor("analyst")


@pytest.fixture
def agent(cast: Cast) -> Actor:
    """Return a program with an analyst's role."""
    return cast.actor("agent")


@pytest.fixture
def auditor(cast: Cast) -> Actor:
    """Return who reads the ledger."""
    return cast.actor("auditor")


@pytest.fixture
def outsider(cast: Cast) -> Actor:
    """Return the admin of another organization, to whom nothing here may exist."""
    return cast.actor("outsider")


@pytest.fixture
def bearer(cast: Cast) -> Callable[..., dict[str, str]]:
    """Return a maker of `Authorization` headers: `bearer(actor, Scope.QUERY_RUN)`; none is all."""

    def headers(actor: Actor, *scopes: Scope) -> dict[str, str]:
        holder = User.objects.get(id=actor.id) if actor.is_person else cast.agent
        issued = accounts.create_token(
            actor=actor if actor.is_person else SYSTEM,
            owner=holder,
            name="test",
            scopes=frozenset(scopes or Scope),
            expires_at=timezone.now() + timedelta(days=1),
        )
        return {"Authorization": f"Bearer {issued.text}"}

    return headers


@pytest.fixture
def signed_in(cast: Cast, bearer: Callable[..., dict[str, str]]) -> Callable[[Actor], Client]:
    """Return a maker of HTTP clients: a session for a person, a bearer token for a program."""

    def client_of(actor: Actor) -> Client:
        if not actor.is_person:
            return Client(headers=bearer(actor))
        client = Client()
        client.force_login(User.objects.get(id=actor.id))
        return client

    return client_of
