"""Which of many tables any policy could tell apart: all others share one decision.

A list of ten thousand tables is then decided once, and paged by the database.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from governance.bundle import bundle_of
from governance.domain import Action, Securable, SecurableKind
from governance.models import Ownership, TagAssignment

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


def distinguished(catalog: Securable) -> Distinguished:
    """Return which tables of a catalog must be asked about one by one, in two statements."""
    below = f"{catalog.key.replace('catalog:', 'table:', 1)}/"
    tagged = TagAssignment.objects.filter(securable_key__startswith=below)
    owned = Ownership.objects.filter(securable_key__startswith=below)
    keys = {key for (key,) in tagged.values_list("securable_key").union(
        owned.values_list("securable_key"))}  # fmt: skip
    labels: frozenset[str] = frozenset()
    if catalog.workspace_id:
        held = bundle_of(catalog.workspace_id)
        keys |= {key for key in held.named_keys(Action.CATALOG_BROWSE) if key.startswith(below)}
        labels = held.labels(SecurableKind.TABLE, Action.CATALOG_BROWSE)
    return Distinguished(frozenset(UUID(key.removeprefix(below)) for key in keys), labels)


def others(catalog: Securable) -> Securable:
    """Return a table that stands for all of a catalog's that are not distinguished."""
    below = catalog.key.replace("catalog:", "table:", 1)
    return Securable(
        SecurableKind.TABLE,
        f"{below}/{NO_TABLE}",
        f"{catalog.label}..",
        catalog.organization_id,
        catalog.workspace_id,
        catalog,
    )
