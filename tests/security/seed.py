"""Fills a running Upend with what the attack corpus is about; run with the stack's settings.

Prints JSON: the tokens and ids that the tests need. `shop.main.sales` is the one table the
attacker may read. `hr` lies in another workspace's lake of the same name, a stored view and a
macro over it in the attacker's own, and another organization has a lake as well.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import timedelta
from typing import Any

import django

django.setup()

from django.utils import timezone  # noqa: E402 - Django must be set up first

from accounts import services as accounts  # noqa: E402
from accounts.domain import SYSTEM, OrganizationRole, Scope  # noqa: E402
from accounts.models import Organization, User  # noqa: E402
from accounts.selectors import actor_for_user  # noqa: E402
from catalog import services as catalogs  # noqa: E402
from catalog import storage  # noqa: E402
from catalog.domain import JobKind, JobState  # noqa: E402
from catalog.models import Catalog  # noqa: E402
from workspaces import services as workspaces  # noqa: E402
from workspaces.domain import WorkspaceRole  # noqa: E402
from workspaces.models import Workspace  # noqa: E402

PASSWORD = "a-duck-upends-to-feed"
TIMEOUT_SECONDS = 5
MEMORY_BYTES = 512 * 2**20
LOADING_SECONDS = 400
SALES = [
    (
        "CREATE TABLE main.sales AS SELECT i::INTEGER AS id, ['EU', 'US'][1 + i % 2] AS region, "
        "(i * 1.5)::DECIMAL(12, 2) AS amount, 'user' || i || '@x.com' AS email, "
        "{'iban': 'NO' || i, 'bank': 'B' || i % 3} AS info FROM range(1000) r(i)"
    ),
    # Its values are in no text of Upend's until someone reads them: the ledger has these lines.
    (
        "CREATE TABLE main.staff AS SELECT i::INTEGER AS id, ['EU', 'US'][1 + i % 2] AS region, "
        "md5('email' || i) || '@x.com' AS email, (i * 10)::INTEGER AS pay, "
        "{'iban': md5('iban' || i), 'bank': 'B' || i % 3} AS info, md5('ssn' || i) AS ssn, "
        "md5('note' || i) AS note FROM range(200) r(i)"
    ),
    "CREATE TABLE main.broken AS SELECT i AS id FROM range(1000) r(i)",
    "CREATE TABLE main.hr AS SELECT i AS id, 'SSN' || i AS ssn FROM range(1000) r(i)",
    "CREATE VIEW main.v_all AS SELECT * FROM main.hr",
    "CREATE VIEW main.v_file AS SELECT content FROM read_text('/etc/hostname')",
    "CREATE MACRO main.peep(f) AS TABLE SELECT content FROM read_text(f)",
    "DROP TABLE main.hr",
]
HR = ["CREATE TABLE main.hr AS SELECT i AS id, 'SSN' || i AS ssn FROM range(1000) r(i)"]


def main() -> None:
    """Make everything and say how to get in."""
    organization, owner = company("Corpus", "corpus")
    workspace = place(organization, owner, "corpus")
    workspace.query_timeout_seconds = TIMEOUT_SECONDS
    workspace.query_memory_bytes = MEMORY_BYTES
    workspace.save()
    lake = load(workspace, owner, SALES)
    spoil(lake, "broken")
    load(place(organization, owner, "people"), owner, HR)
    elsewhere, other = company("Elsewhere Ltd", "elsewhere")
    foreign = load(place(elsewhere, other, "abroad"), other, HR)
    attacker = person(organization, "attacker", OrganizationRole.MEMBER)
    workspaces.grant_membership(
        actor=SYSTEM, workspace=workspace, principal=attacker, role=WorkspaceRole.ANALYST
    )
    seeded = {
        "attacker": token(attacker),
        "owner": token(owner),
        "lake": str(lake.id),
        "foreign_lake": str(foreign.id),
    }
    sys.stdout.write(json.dumps(seeded) + "\n")


def company(name: str, slug: str) -> tuple[Organization, User]:
    """Make an organization and its administrator."""
    organization = accounts.create_organization(actor=SYSTEM, name=name, slug=slug)
    return organization, person(organization, "owner", OrganizationRole.ADMIN)


def person(organization: Organization, name: str, role: OrganizationRole) -> User:
    """Make one of an organization's people."""
    return accounts.create_user(
        actor=SYSTEM,
        organization=organization,
        email=f"{name}@{organization.slug}.example",
        name=name,
        password=PASSWORD,
        organization_role=role,
    )


def place(organization: Organization, owner: User, slug: str) -> Workspace:
    """Make a workspace that `owner` owns."""
    workspace = workspaces.create_workspace(
        actor=SYSTEM, organization=organization, name=slug, slug=slug
    )
    workspaces.grant_membership(
        actor=SYSTEM, workspace=workspace, principal=owner, role=WorkspaceRole.OWNER
    )
    return workspace


def load(workspace: Workspace, owner: User, statements: list[str]) -> Catalog:
    """Make the catalog `shop` with the tables of `statements`."""
    actor = actor_for_user(owner)
    catalog = catalogs.create_catalog(actor=actor, workspace=workspace, name="shop")
    job: Any = catalogs.enqueue_job(
        actor=actor,
        catalog=catalog,
        kind=JobKind.STATEMENTS,
        arguments={"statements": statements, "message": "the corpus"},
    )
    deadline = time.monotonic() + LOADING_SECONDS
    while job.state not in {JobState.SUCCEEDED, JobState.FAILED}:
        if time.monotonic() > deadline:
            raise SystemExit("the catalog worker did not load the corpus")
        time.sleep(0.1)
        job.refresh_from_db()
    if job.state == JobState.FAILED:
        raise SystemExit(f"the corpus could not be loaded: {job.problem}")
    return catalog


def spoil(catalog: Catalog, table: str) -> None:
    """Overwrite a table's files by as many bytes that only look like Parquet."""
    client, bucket = storage.hosted().client, storage.hosted().bucket
    prefix = f"{catalog.prefix}main/{table}/"
    for found in client.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]:
        garbage = b"PAR1" + b"\xff" * (found["Size"] - 12) + b"\xf0\xff\x00\x00PAR1"
        client.put_object(Bucket=bucket, Key=found["Key"], Body=garbage)


def token(user: User) -> str:
    """Return a token of `user` with every scope."""
    issued = accounts.create_token(
        actor=actor_for_user(user),
        owner=user,
        name="corpus",
        scopes=frozenset(Scope),
        expires_at=timezone.now() + timedelta(days=1),
    )
    return issued.text


if __name__ == "__main__":
    main()
