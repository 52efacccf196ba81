"""What the text of a view reads and gives: asked of the room above, which owns gate and binder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from accounts.domain import Actor
from catalog.lake.views import View
from catalog.models import Catalog


@dataclass(frozen=True, slots=True)
class Reading:
    """The tables and views that a text names, as (schema, name); no schema where it says none.

    `fault` says why nothing can be known of them.
    """

    names: tuple[tuple[str, str], ...] = ()
    fault: str = ""


@dataclass(frozen=True, slots=True)
class ViewColumns:
    """The columns that a view gives somebody, with their types, or why it gives none."""

    columns: tuple[tuple[str, str], ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Draft:
    """A text that may become a view: as it is stored, with what it gives its author."""

    sql: str
    columns: tuple[tuple[str, str], ...]


class Texts(Protocol):
    """Reads the SQL of views; nothing of it is evaluated outside a sandbox."""

    def reading(self, catalog: Catalog, sql: str) -> Reading:
        """Return what a stored text names."""

    def columns(self, actor: Actor, catalog: Catalog, view: View) -> ViewColumns:
        """Return what a view gives `actor` now."""

    def draft(self, actor: Actor, catalog: Catalog, schema: str, sql: str) -> Draft:
        """Return `sql` as it would be stored in the schema.

        Raises what a query over the same tables by `actor` would.
        """


_registered: list[Texts] = []


def register(texts: Texts) -> None:
    """Ask `texts` from now on."""
    _registered[:] = [texts]


def registered() -> Texts:
    """Return whom to ask."""
    return _registered[0]
