"""The catalog that an address names, found in one statement for who sends rows all day.

Whoever may not see it is not told so here: the catalog's own selectors say what is wrong.
"""

from __future__ import annotations

from accounts import statements
from accounts.domain import Actor, PrincipalKind
from accounts.models import OVERSEERS, Organization
from catalog.models import Bucket, Catalog
from workspaces.models import Workspace

STATEMENT = f"""
SELECT {statements.columns(Workspace, "w")}, {statements.columns(Organization, "o")},
       {statements.columns(Catalog, "c")}, {statements.columns(Bucket, "b")}
FROM workspaces_workspace w JOIN accounts_organization o ON o.id = w.organization_id
     JOIN catalog_catalog c ON c.workspace_id = w.id JOIN catalog_bucket b ON b.id = c.bucket_id
WHERE w.organization_id = %(organization)s AND w.archived_at IS NULL AND w.slug = %(workspace)s
  AND c.dropped_at IS NULL AND lower(c.name) = %(catalog)s
  AND (%(oversees)s::boolean OR EXISTS (SELECT FROM workspaces_membership m
       WHERE m.workspace_id = w.id AND (m.user_id = %(user)s OR m.service_account_id = %(program)s
            OR m.group_id = ANY(%(groups)s::uuid[]))))
"""  # noqa: S608 - names of our own models


def catalog_at(actor: Actor, workspace: str, name: str) -> Catalog | None:
    """Return the one catalog of that name in a workspace that the actor belongs to.

    What the actor may do with it is still to be decided. None where it is spelled by an id,
    where there is none, or more than one.
    """
    rows = statements.rows(
        STATEMENT,
        {
            "organization": actor.organization_id,
            "workspace": workspace,
            "catalog": name.lower(),
            "oversees": actor.organization_role in OVERSEERS,
            "user": actor.id if actor.kind is PrincipalKind.USER else None,
            "program": actor.id if actor.kind is PrincipalKind.SERVICE_ACCOUNT else None,
            "groups": list(actor.group_ids),
        },
    )
    if len(rows) != 1:
        return None
    found, organization, catalog, bucket = statements.split(
        rows[0], Workspace, Organization, Catalog, Bucket
    )
    found.organization, catalog.workspace, catalog.bucket = organization, found, bucket
    return catalog if isinstance(catalog, Catalog) else None
