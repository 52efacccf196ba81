"""Catalogs and tables for governance, which names them by label and keeps them by key."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from uuid import UUID

from catalog import lake
from catalog.models import Catalog
from governance import securables
from governance.domain import Securable, SecurableKind
from workspaces.models import Workspace

ONE_BY_ONE = 4
"""So many tables of one catalog are found each by itself, more by reading all of its tables."""


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

    def keyed(
        self, workspace: Workspace, keys: Iterable[str], *, with_columns: bool = True
    ) -> dict[str, Securable]:
        """Return what catalog, table and column keys stand for; what is gone is left out.

        Without columns, many tables are read at once, and keys of columns stand for nothing.
        """
        wanted = set(keys)
        found: dict[str, Securable] = {}
        for catalog in _live(workspace) if wanted else []:
            below = [key for key in wanted if key.startswith(_prefixes(catalog))]
            if len(below) > ONE_BY_ONE and not with_columns:
                found |= _all_keyed(catalog, wanted)
                continue
            for key in below:
                kind, _, identifier = key.partition(":")
                if securable := _keyed(catalog, kind, identifier):
                    found[key] = securable
        return found

    def labels(self, workspace: Workspace) -> list[str]:
        """Return every label of a catalog or table, to suggest the nearest."""
        found: list[str] = []
        for catalog in _live(workspace):
            found.append(catalog.name)
            if (newest := _newest(catalog)) is not None:
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
            if (newest := _newest(catalog)) is not None:
                found += [table.securable(parent) for table in lake.tables(catalog, newest)]
        return found


def _live(workspace: Workspace) -> list[Catalog]:
    rows = Catalog.objects.live().filter(workspace=workspace)
    return list(rows.select_related("bucket", "workspace__organization"))


def _newest(catalog: Catalog) -> int | None:
    """Return the newest snapshot; None where the lake is not there yet.

    Asked first, not tried: a read that fails would end the transaction of whoever asks.
    """
    if catalog.metadata_schema not in lake.ready([catalog.metadata_schema]):
        return None
    return lake.latest_snapshot(catalog).snapshot_id


def _named(catalog: Catalog, rest: str) -> Securable | None:
    if not rest:
        return catalog.securable
    schema, _, name = rest.partition(".")
    newest = _newest(catalog)
    table = None if newest is None else lake.table(catalog, newest, schema, name)
    return table.securable(catalog.securable) if table else None


def _prefixes(catalog: Catalog) -> tuple[str, str, str]:
    return f"catalog:{catalog.id}", f"table:{catalog.id}/", f"column:{catalog.id}/"


def _all_keyed(catalog: Catalog, wanted: Collection[str]) -> dict[str, Securable]:
    own, newest = catalog.securable, _newest(catalog)
    tables = [] if newest is None else lake.tables(catalog, newest, with_columns=False)
    found = {table.key: table.securable(own) for table in tables if table.key in wanted}
    return found | ({own.key: own} if own.key in wanted else {})


def _keyed(catalog: Catalog, kind: str, identifier: str) -> Securable | None:
    if kind == "catalog":
        return catalog.securable
    newest = _newest(catalog)
    if newest is None:
        return None
    found = lake.table_by_uuid(catalog, newest, UUID(identifier.split("/")[1]))
    if found is None:
        return None
    table = found.securable(catalog.securable)
    if kind == "table":
        return table
    column = next((c for c in table.columns if c.key == f"{kind}:{identifier}"), None)
    return securables.column(column, table) if column else None
