"""Who there is at Demo Air, made through the same services that everybody uses."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.utils import timezone

from accounts import services as accounts
from accounts.domain import SYSTEM, Actor, OrganizationRole, Scope
from accounts.models import Organization, ServiceAccount, User
from accounts.selectors import actor_for_user
from demo.logins import Login, LoginBook
from workspaces import services as workspaces
from workspaces.domain import WorkspaceRole
from workspaces.models import Workspace

SLUG = "demo-air"
WORKSPACE_SLUG = "flight-ops"
TOKEN_LIFETIME = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Person:
    """One of the cast."""

    name: str
    full_name: str
    organization_role: OrganizationRole
    workspace_role: WorkspaceRole
    description: str

    @property
    def email(self) -> str:
        """Return the address they sign in with."""
        return f"{self.name}@demo-air.example"


CAST = (
    Person(
        "owner",
        "Olivia Owner",
        OrganizationRole.ADMIN,
        WorkspaceRole.OWNER,
        "owns the workspace, approves devices",
    ),
    Person(
        "steward",
        "Sam Steward",
        OrganizationRole.MEMBER,
        WorkspaceRole.STEWARD,
        "answers for the data, tags tables",
    ),
    Person(
        "analyst",
        "Ana Analyst",
        OrganizationRole.MEMBER,
        WorkspaceRole.ANALYST,
        "asks the questions",
    ),
    Person(
        "auditor",
        "Aki Auditor",
        OrganizationRole.AUDITOR,
        WorkspaceRole.AUDITOR,
        "reads what was recorded",
    ),
)
AGENT = "agent"


@dataclass(frozen=True, slots=True)
class Company:
    """Demo Air as rows."""

    organization: Organization
    workspace: Workspace
    users: dict[str, User]

    def actor(self, name: str) -> Actor:
        """Return one of the people as an actor."""
        return actor_for_user(self.users[name])


def hire(book: LoginBook) -> Company:
    """Make what is missing of the organization, its workspace and its cast."""
    organization = Organization.objects.filter(slug=SLUG).first()
    if organization is None:
        organization = accounts.create_organization(actor=SYSTEM, name="Demo Air", slug=SLUG)
    users = {person.name: _user(organization, person, book) for person in CAST}
    workspace = Workspace.objects.filter(organization=organization, slug=WORKSPACE_SLUG).first()
    if workspace is None:
        workspace = workspaces.create_workspace(
            actor=SYSTEM, organization=organization, name="Flight operations", slug=WORKSPACE_SLUG
        )
    for person in CAST:
        workspaces.grant_membership(
            actor=SYSTEM,
            workspace=workspace,
            principal=users[person.name],
            role=person.workspace_role,
        )
    company = Company(organization, workspace, users)
    _agent(company, book)
    return company


def _user(organization: Organization, person: Person, book: LoginBook) -> User:
    password = book.password(person.name, person.email, person.description)
    return User.objects.filter(email=person.email).first() or accounts.create_user(
        actor=SYSTEM,
        organization=organization,
        email=person.email,
        name=person.full_name,
        password=password,
        organization_role=person.organization_role,
    )


def _agent(company: Company, book: LoginBook) -> None:
    account = ServiceAccount.objects.filter(
        organization=company.organization, name=AGENT
    ).first() or accounts.create_service_account(
        actor=company.actor("owner"),
        organization=company.organization,
        name=AGENT,
        created_by=company.users["owner"],
        description="A program that asks questions; its queries run on the server only.",
    )
    workspaces.grant_membership(
        actor=SYSTEM,
        workspace=company.workspace,
        principal=account,
        role=WorkspaceRole.ANALYST,
    )
    if book.knows(AGENT):
        return
    issued = accounts.create_token(
        actor=company.actor("owner"),
        owner=account,
        name="demo",
        scopes=frozenset({Scope.CATALOG_READ, Scope.QUERY_RUN}),
        expires_at=timezone.now() + TOKEN_LIFETIME,
    )
    description = "a program's token, for the API; lasts 90 days"
    book.keep(Login(AGENT, "agent (API token)", issued.text, description))
