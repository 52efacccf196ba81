"""Which catalogs take writes: asked before anything is staged, and again by the queue itself."""

from __future__ import annotations

from catalog.models import Catalog
from problems import Conflict


class CatalogReadOnly(Conflict):
    """The catalog takes no writes; nothing was changed."""

    code = "catalog-read-only"
    title = "The catalog is read-only"


def check_writable(catalog: Catalog) -> None:
    """Raise `CatalogReadOnly` where the catalog was archived or dropped."""
    if catalog.dropped_at is not None:
        raise CatalogReadOnly(f"Catalog {catalog.name} was dropped.", hint="Restore it first.")
    if catalog.archived_at is not None:
        raise CatalogReadOnly(
            f"Catalog {catalog.name} is archived: it is read, and written no more.",
            hint="Who manages it can take it out of the archive on its settings page.",
        )
