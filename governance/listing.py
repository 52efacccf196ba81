"""Which of many tables any policy could tell apart: all others share one decision.

A list of ten thousand tables is then decided once, and paged by the database.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from governance.domain import Action, Securable, SecurableKind
from governance.knowledge import Known, below

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
