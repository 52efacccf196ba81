"""A small organization to decide about: one workspace, one catalog, every role."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from accounts.domain import Actor, DeviceIdentity, DeviceStatus, OrganizationRole, PrincipalKind
from accounts.models import Group, Organization, ServiceAccount, User
from catalog.domain import Column, Table
from catalog.inventory import LakeInventory
from catalog.models import Bucket, Catalog
from governance import inventory, securables
from governance.domain import Securable, SecurableColumn
from tests.catalog.lakes import written_lake
from workspaces.domain import WorkspaceRole
from workspaces.models import Membership, Workspace

__all__ = ["written_lake"]

from .shelf import Shelf

APPROVED = DeviceIdentity(uuid.uuid4(), "laptop", "thumb", DeviceStatus.APPROVED)
PENDING = replace(APPROVED, status=DeviceStatus.PENDING)
REVOKED = replace(APPROVED, status=DeviceStatus.REVOKED)


COLUMNS = tuple(
    Column(identifier, identifier, name, "varchar", kind, True, parent)
    for identifier, name, kind, parent in (
        (1, "id", "BIGINT", None),
        (2, "email", "VARCHAR", None),
        (3, "info", "STRUCT(iban VARCHAR)", None),
        (4, "iban", "VARCHAR", 3),
    )
)


@dataclass
class Company:
    """One tenant with a workspace, a catalog, and a person for every role."""

    organization: Organization
    workspace: Workspace
    catalog: Catalog
    actors: dict[str, Actor]
    users: dict[str, User]

    def table(self, name: str = "flights") -> Securable:
        """Return a table of the catalog; the same name is the same table."""
        identifier = uuid.uuid5(self.catalog.id, name)
        table = Table(
            catalog_id=self.catalog.id,
            catalog_name=self.catalog.name,
            table_id=1,
            table_uuid=identifier,
            schema_name="main",
            name=name,
            prefix="",
            columns=COLUMNS,
            record_count=0,
            file_count=0,
            file_size_bytes=0,
        )
        return table.securable(self.catalog.securable)

    def securable(self, kind: str) -> Securable:
        """Return the company's one securable of a kind."""
        match kind:
            case "organization":
                return securables.organization(self.organization)
            case "workspace":
                return securables.workspace(self.workspace)
            case "catalog":
                return self.catalog.securable
            case "column":
                return self.column("info.iban")
            case _:
                return self.table()

    def column(self, name: str) -> Securable:
        """Return a column of the table `flights`: id, email, info or info.iban."""
        table = self.table()
        return securables.column(next(c for c in table.columns if c.name == name), table)

    def on(self, role: str, device: DeviceIdentity | None) -> Actor:
        """Return an actor who asks from `device`."""
        return replace(self.actors[role], device=device)


def build_company(slug: str) -> Company:
    """Create a tenant in the database."""
    organization = Organization.objects.create(name=slug.title(), slug=slug)
    workspace = Workspace.objects.create(organization=organization, name="Ops", slug="ops")
    bucket = Bucket.objects.create(workspace=workspace, name="b", bucket_name="b", prefix="p/")
    catalog = Catalog.objects.create(
        workspace=workspace,
        bucket=bucket,
        name="flights",
        metadata_schema=f"lake_{slug}",
        prefix=f"p/{slug}/",
    )
    company = Company(organization, workspace, catalog, {}, {})
    for role in WorkspaceRole:
        _person(company, role.value, OrganizationRole.MEMBER, role)
    _person(company, "member", OrganizationRole.MEMBER, None)
    _person(company, "admin", OrganizationRole.ADMIN, None)
    _person(company, "organization_auditor", OrganizationRole.AUDITOR, None)
    agent = ServiceAccount.objects.create(
        organization=organization, name="agent", created_by=company.users["owner"]
    )
    Membership.objects.create(
        workspace=workspace, service_account=agent, role=WorkspaceRole.ANALYST
    )
    company.actors["agent"] = Actor(
        PrincipalKind.SERVICE_ACCOUNT, agent.id, agent.name, organization.id
    )
    return company


def _person(
    company: Company, name: str, organization_role: OrganizationRole, role: WorkspaceRole | None
) -> None:
    slug = company.organization.slug
    user = User.objects.create(
        username=f"{name}@{slug}",
        email=f"{name}@{slug}.example",
        organization=company.organization,
        organization_role=organization_role,
    )
    if role:
        Membership.objects.create(workspace=company.workspace, user=user, role=role)
    company.users[name] = user
    company.actors[name] = Actor(
        PrincipalKind.USER, user.id, user.email, company.organization.id, organization_role
    )


@pytest.fixture
def company(db: None) -> Company:
    return build_company("air")


@pytest.fixture
def stranger(db: None) -> Actor:
    """Return the owner of another organization's workspace."""
    return build_company("rail").actors["owner"]


@pytest.fixture
def people(company: Company) -> Securable:
    """Return a table with columns."""
    table = company.table("people")
    return replace(table, columns=columns_of(table))


def columns_of(table: Securable) -> tuple[SecurableColumn, ...]:
    """Return the columns of the table that these tests ask about."""
    below = table.key.replace("table:", "column:", 1)
    return (
        SecurableColumn(f"{below}/1", ("email",), "VARCHAR"),
        SecurableColumn(f"{below}/2", ("region",), "VARCHAR"),
        SecurableColumn(f"{below}/3", ("info",), 'STRUCT("iban" VARCHAR, "age" INTEGER)'),
        SecurableColumn(f"{below}/4", ("info", "iban"), "VARCHAR"),
        SecurableColumn(f"{below}/5", ("info", "age"), "INTEGER"),
    )


@pytest.fixture
def shelf(company: Company) -> Iterator[Shelf]:
    """Stand in for the catalog with two tables whose columns a test may change."""
    tables = [company.table("people"), company.table("orders")]
    made = Shelf(company.catalog.securable, *(replace(t, columns=columns_of(t)) for t in tables))
    inventory.register(made)
    yield made
    inventory.register(LakeInventory())


@pytest.fixture
def hr(company: Company) -> Group:
    """Return a group of the company."""
    return Group.objects.create(organization=company.organization, name="hr")


@pytest.fixture
def crew(company: Company) -> Group:
    """Return a group with the analyst in it."""
    group = Group.objects.create(organization=company.organization, name="crew")
    group.users.add(company.users["analyst"])
    return group


@pytest.fixture
def second(company: Company) -> Actor:
    """Return another owner of the workspace."""
    _person(company, "second", OrganizationRole.MEMBER, WorkspaceRole.OWNER)
    return company.actors["second"]
