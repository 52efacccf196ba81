"""Which of many tables any policy could tell apart: all others share one decision.

A list of ten thousand tables is then decided once, and paged by the database.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from accounts.domain import Actor
from governance.domain import Action, Request, Securable, SecurableKind
from governance.knowledge import Known, below, know

NO_TABLE = UUID(int=0)
"""Stands for all tables that nothing is known of and nothing is said about."""


@dataclass(frozen=True, slots=True)
class Distinguished:
    """The tables that have a tag, an owner or a policy about browsing, or that one names.

    By DuckLake's uuid; and by label, in lower case, those that bear a name which a policy was
    written for.
    """

    uuids: frozenset[UUID]
    labels: frozenset[str]


def distinguished(catalog: Securable, known: Known) -> Distinguished:
    """Return which tables of a catalog must be asked about one by one.

    `known` is what `know` returned with the catalog in `tables_of`.
    """
    start = below(catalog)
    keys = {key for key in (*known.facts.tags, *known.facts.owners) if key.startswith(start)}
    labels: frozenset[str] = frozenset()
    held = known.bundles.get(catalog.workspace_id) if catalog.workspace_id else None
    if held is not None:
        keys |= {key for key in held.named_keys(Action.CATALOG_BROWSE) if key.startswith(start)}
        labels = held.labels(SecurableKind.TABLE, Action.CATALOG_BROWSE)
    return Distinguished(frozenset(UUID(key.removeprefix(start)) for key in keys), labels)


def others(catalog: Securable) -> Securable:
    """Return a table that stands for all of a catalog's that are not distinguished."""
    return Securable(
        SecurableKind.TABLE,
        f"{below(catalog)}{NO_TABLE}",
        f"{catalog.label}..",
        catalog.organization_id,
        catalog.workspace_id,
        catalog,
    )


def is_unprotected(actor: Actor, table: Securable) -> bool:
    """Tell whether nothing is said about a table that is not said about all of its catalog's.

    No tag is on it or its columns, and no mask, row filter or access policy is in its scope:
    what it holds may then be copied into another table of the catalog.
    """
    known = know(actor, [Request(Action.TABLE_QUERY, table)])
    keys = {table.key, *(column.key for column in table.columns)}
    if any(known.facts.tags.get(key) for key in keys):
        return False
    held = known.bundles.get(table.workspace_id) if table.workspace_id else None
    return held is None or not (
        held.masks(table) or held.row_filters(table) or held.access_of(table)
    )
