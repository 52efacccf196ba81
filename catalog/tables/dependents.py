"""What names a table from the rooms above, asked before its definition changes.

Rooms register themselves when the applications are ready: execution knows saved queries, the
catalog its views.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from accounts.domain import Actor
from catalog.domain import Table
from catalog.models import Catalog


@dataclass(frozen=True, slots=True)
class Dependent:
    """Something that names a table; `kind` is a value of `previews.ImpactKind`."""

    kind: str
    name: str
    detail: str


class Dependents(Protocol):
    """Finds what names a table."""

    def naming(
        self, actor: Actor, catalog: Catalog, table: Table, columns: frozenset[str] | None
    ) -> list[Dependent]:
        """Return what names the table; with `columns`, what seems to name one of those too.

        What `actor` may not see bears no name.
        """


_registered: list[Dependents] = []


def register(dependents: Dependents) -> None:
    """Ask `dependents` too from now on."""
    if dependents not in _registered:
        _registered.append(dependents)


def naming(
    actor: Actor, catalog: Catalog, table: Table, columns: frozenset[str] | None
) -> list[Dependent]:
    """Return what names the table, of all that are registered."""
    return [found for one in _registered for found in one.naming(actor, catalog, table, columns)]
