"""Catalogs and tables for governance, which names them by label and keeps them by key."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from uuid import UUID

from catalog import lake
from catalog.models import Catalog
from governance import securables
from governance.domain import Securable, SecurableKind
from workspaces.models import Workspace


class LakeInventory:
    """Reads each catalog named once, at its newest snapshot; one not ready has no tables yet."""

    def named(self, workspace: Workspace, labels: Iterable[str]) -> dict[str, Securable]:
        """Return what `flights` and `flights.main.flights` name, by the label asked for."""
        wanted = list(labels)
        catalogs = {c.name.lower(): c for c in _live(workspace)} if wanted else {}
        found: dict[str, Securable] = {}
        for label in wanted:
            name, _, rest = label.partition(".")
            catalog = catalogs.get(name.lower())
            if catalog and (securable := _named(catalog, rest)):
                found[label] = securable
        return found

    def keyed(self, workspace: Workspace, keys: Iterable[str]) -> dict[str, Securable]:
        """Return what catalog, table and column keys stand for; what is gone is left out."""
        wanted = list(keys)
        catalogs = {str(c.id): c for c in _live(workspace)} if wanted else {}
        found: dict[str, Securable] = {}
        for key in wanted:
            kind, _, identifier = key.partition(":")
            catalog = catalogs.get(identifier.partition("/")[0])
            if catalog and (securable := _keyed(catalog, kind, identifier)):
                found[key] = securable
        return found

    def labels(self, workspace: Workspace) -> list[str]:
        """Return every label of a catalog or table, to suggest the nearest."""
        found: list[str] = []
        for catalog in _live(workspace):
            found.append(catalog.name)
            with suppress(lake.CatalogNotReady):
                newest = lake.latest_snapshot(catalog).snapshot_id
                found += [t.label for t in lake.tables(catalog, newest, with_columns=False)]
        return found

    def tables(self, workspace: Workspace, below: Securable) -> list[Securable]:
        """Return the tables below a securable of the workspace, with their columns."""
        if below.kind is SecurableKind.TABLE:
            return [found for found in [self.keyed(workspace, [below.key]).get(below.key)] if found]
        found: list[Securable] = []
        for catalog in _live(workspace):
            parent = catalog.securable
            if below.key not in {parent.key, *(above.key for above in parent.ancestors)}:
                continue
            with suppress(lake.CatalogNotReady):
                newest = lake.latest_snapshot(catalog).snapshot_id
                found += [table.securable(parent) for table in lake.tables(catalog, newest)]
        return found


def _live(workspace: Workspace) -> list[Catalog]:
    rows = Catalog.objects.live().filter(workspace=workspace)
    return list(rows.select_related("bucket", "workspace__organization"))


def _named(catalog: Catalog, rest: str) -> Securable | None:
    if not rest:
        return catalog.securable
    schema, _, table = rest.partition(".")
    with suppress(lake.CatalogNotReady):
        newest = lake.latest_snapshot(catalog).snapshot_id
        found = lake.table(catalog, newest, schema, table)
        return found.securable(catalog.securable) if found else None
    return None


def _keyed(catalog: Catalog, kind: str, identifier: str) -> Securable | None:
    if kind == "catalog":
        return catalog.securable
    with suppress(lake.CatalogNotReady):
        newest = lake.latest_snapshot(catalog).snapshot_id
        found = lake.table_by_uuid(catalog, newest, UUID(identifier.split("/")[1]))
        if found is None:
            return None
        table = found.securable(catalog.securable)
        columns = {column.key: column for column in table.columns}
        if kind == "table":
            return table
        column = columns.get(f"{kind}:{identifier}")
        return securables.column(column, table) if column else None
    return None
