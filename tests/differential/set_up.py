"""Makes an organization of its own in a running Upend, and says how to reach it, as JSON.

Run as a program with the environment of that installation: the tests' own Django is another one.
"""

from __future__ import annotations

import json
import secrets
import sys
from datetime import timedelta

import django

CATALOGS = ("flights", "tpch")


def main() -> None:
    """Create people, a workspace, a token and two empty catalogs."""
    django.setup()
    from django.conf import settings
    from django.utils import timezone

    from accounts import services as accounts
    from accounts.domain import SYSTEM, OrganizationRole, Scope
    from accounts.selectors import actor_for_user
    from catalog import services as catalog
    from catalog.models import Job
    from workspaces import services as workspaces
    from workspaces.domain import WorkspaceRole

    tag = secrets.token_hex(4)
    organization = accounts.create_organization(
        actor=SYSTEM, name="Differences", slug=f"differences-{tag}", auto_approve_devices=True
    )
    owner = accounts.create_user(
        actor=SYSTEM,
        organization=organization,
        email=f"owner-{tag}@differences.example",
        password=secrets.token_urlsafe(16),
        organization_role=OrganizationRole.ADMIN,
    )
    workspace = workspaces.create_workspace(
        actor=SYSTEM, organization=organization, name="Lab", slug="lab"
    )
    workspaces.grant_membership(
        actor=SYSTEM, workspace=workspace, principal=owner, role=WorkspaceRole.OWNER
    )
    actor = actor_for_user(owner)
    token = accounts.create_token(
        actor=actor,
        owner=owner,
        name="differential tests",
        scopes=frozenset(Scope),
        expires_at=timezone.now() + timedelta(days=1),
    )
    lakes = {}
    for name in CATALOGS:
        created = catalog.create_catalog(actor=actor, workspace=workspace, name=name)
        job = catalog.wait_for_job(Job.objects.get(catalog=created), timeout_seconds=300)
        if job.problem:
            sys.exit(f"{name}: {job.problem}")
        lakes[name] = {"schema": created.metadata_schema, "prefix": created.prefix}
    document = {
        "token": token.text,
        "workspace": workspace.slug,
        "lakes": lakes,
        "database": settings.DATABASE_URL,
        "s3": settings.S3,
    }
    sys.stdout.write(json.dumps(document))


if __name__ == "__main__":
    main()
