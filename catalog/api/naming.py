"""From the names in an address to what policies name: one place finds, so that all refuse alike."""

from __future__ import annotations

from accounts.domain import Actor
from catalog import lake
from catalog.models import Catalog
from catalog.selectors import UnknownColumn, as_shown_to, did_you_mean, find_catalog, find_table
from governance import securables
from governance.domain import Securable
from workspaces.selectors import find_workspace


def named_catalog(actor: Actor, workspace: str, catalog: str) -> Catalog:
    """Return the catalog of an address. Raises `UnknownWorkspace` or `UnknownCatalog`."""
    return find_catalog(actor, find_workspace(actor, workspace), catalog)


def listed_table(actor: Actor, workspace: str, catalog: str, schema: str, table: str) -> Securable:
    """Return the table of an address without the columns that policies hide from `actor`."""
    found = named_catalog(actor, workspace, catalog)
    newest = lake.latest_snapshot(found).snapshot_id
    (shown,) = as_shown_to(actor, found, [find_table(actor, found, newest, schema, table)])
    return shown.securable(found.securable)


def named_table(actor: Actor, workspace: str, catalog: str, schema: str, table: str) -> Securable:
    """Return the table of an address. Raises as `named_catalog`, or `UnknownTable`."""
    found = named_catalog(actor, workspace, catalog)
    newest = lake.latest_snapshot(found).snapshot_id
    return find_table(actor, found, newest, schema, table).securable(found.securable)


def named_column(table: Securable, reference: str) -> Securable:
    """Return a column of the table by its name (`iban`, `info.iban`) or its field id.

    Raises `UnknownColumn` with the nearest name.
    """
    by_name = {column.name.lower(): column for column in table.columns}
    by_id = {column.key.rpartition("/")[2]: column for column in table.columns}
    column = by_name.get(reference.lower()) or by_id.get(reference)
    if column is None:
        known = [column.name for column in table.columns]
        message = f"{table.label} has no column {reference[:80]!r}."
        raise UnknownColumn(message, hint=did_you_mean(reference, known))
    return securables.column(column, table)
