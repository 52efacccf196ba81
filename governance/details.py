"""What people say of catalogs, tables and columns: what they hold, and how careful to be."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from django.db.models import Q

from governance.domain import Securable
from governance.models import SecurableDetails, TagDefinition

CLASSIFICATION = "classification"
"""The tag that classifies; what is classified below or above adds up, as with every tag."""

CLASSIFICATIONS = ("public", "internal", "confidential", "restricted")
"""Least first; an organization that defines the tag has its own list, in its own order."""


def classifications_of(organization_id: UUID) -> tuple[str, ...]:
    """Return how the organization classifies, least first."""
    rows = TagDefinition.objects.filter(organization_id=organization_id, name=CLASSIFICATION)
    own = rows.values_list("allowed_values", flat=True).first()
    return tuple(own) if own else CLASSIFICATIONS


def classification_in(tags: Iterable[str], order: Iterable[str]) -> str:
    """Return the strictest classification among tags; empty where there is none.

    One that the organization's list has no more is stricter than all that it has.
    """
    ranks = {value: rank for rank, value in enumerate(order)}
    found = [tag.partition("=")[2] for tag in tags if tag.startswith(f"{CLASSIFICATION}=")]
    return max(found, key=lambda value: (ranks.get(value, len(ranks)), value), default="")


def descriptions_of(securables: Iterable[Securable]) -> dict[str, str]:
    """Return what is said of the securables and of the columns of tables among them, by key."""
    keys = {securable.key for securable in securables}
    rows = SecurableDetails.objects.filter(Q(securable_key__in=keys) | Q(table_key__in=keys))
    return dict(rows.values_list("securable_key", "description"))
