"""What exists below a workspace, asked of the room above: governance knows securables, not tables.

The catalog registers itself when the applications are ready.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from governance import securables
from governance.domain import Securable
from workspaces.models import Workspace


class Inventory(Protocol):
    """Finds catalogs, and tables with their columns, as they are now. It asks nobody's rights."""

    def named(self, workspace: Workspace, labels: Iterable[str]) -> dict[str, Securable]:
        """Return what `flights` and `flights.main.flights` name, by the label asked for.

        Names are compared without case; what does not exist is left out.
        """

    def keyed(
        self, workspace: Workspace, keys: Iterable[str], *, with_columns: bool = True
    ) -> dict[str, Securable]:
        """Return what catalog, table and column keys stand for; what is gone is left out.

        Without columns, many tables are read at once, and keys of columns stand for nothing.
        """

    def labels(self, workspace: Workspace) -> list[str]:
        """Return every label of a catalog or table, to suggest the nearest."""

    def tables(self, workspace: Workspace, below: Securable) -> list[Securable]:
        """Return the tables below a securable of the workspace, with their columns."""


_registered: list[Inventory] = []


def register(inventory: Inventory) -> None:
    """Answer with `inventory` from now on."""
    _registered[:] = [inventory]


def named(workspace: Workspace, labels: Iterable[str]) -> dict[str, Securable]:
    """Return the catalogs and tables that labels name in the workspace, by label."""
    return _registered[0].named(workspace, labels)


def keyed(
    workspace: Workspace, keys: Iterable[str], *, with_columns: bool = True
) -> dict[str, Securable]:
    """Return what keys stand for in the workspace, the workspace itself included, by key."""
    own = securables.workspace(workspace)
    wanted = set(keys)
    found = {own.key: own} if own.key in wanted else {}
    rest = wanted - {own.key}
    if not rest:
        return found
    return found | _registered[0].keyed(workspace, rest, with_columns=with_columns)


def labels(workspace: Workspace) -> list[str]:
    """Return every label of a catalog or table of the workspace."""
    return _registered[0].labels(workspace)


def tables(workspace: Workspace, below: Securable) -> list[Securable]:
    """Return the tables below a securable, a table itself included, with their columns."""
    return _registered[0].tables(workspace, below)
