"""Which tables of a catalog one may browse: decided once for all that no policy can tell apart."""

from __future__ import annotations

from typing import TypedDict
from uuid import UUID

from accounts.domain import Actor
from catalog import lake
from catalog.domain import Table
from catalog.models import Catalog
from governance import listing
from governance import services as governance
from governance.domain import Action, Request


class Visible(TypedDict):
    """The tables that one may browse, as the lake is asked for them."""

    only: lake.Choice | None
    without: frozenset[UUID]


def visible_tables(
    actor: Actor,
    catalog: Catalog,
    snapshot_id: int,
    *,
    search: lake.Search = lake.EVERYTHING,
    with_columns: bool = False,
    with_sizes: bool = True,
    after: tuple[str, str] | None = None,
    limit: int | None = None,
) -> list[Table]:
    """Return the tables at a snapshot that `actor` may browse, by schema and name.

    At most `limit`, from the one that follows the schema and name in `after`. To see a table is
    not to read it: `table.query` is decided where a query is planned. What no policy can tell
    apart is decided once, and the database leaves out what differs: the page of a large catalog
    costs little more than without a decision, in a number of statements that does not grow.
    """
    return lake.page(
        catalog,
        snapshot_id,
        **_visible(actor, catalog, snapshot_id),
        search=search,
        after=after,
        limit=limit,
        with_columns=with_columns,
        with_sizes=with_sizes,
    )


def visible_totals(actor: Actor, catalog: Catalog, snapshot_id: int) -> lake.Totals:
    """Return how many tables `actor` may browse, and what they hold together."""
    return lake.totals(catalog, snapshot_id, **_visible(actor, catalog, snapshot_id))


def nearest_labels(actor: Actor, catalog: Catalog, snapshot_id: int, text: str) -> list[str]:
    """Return the whole names of tables that `actor` may browse, of those spelt most like `text`."""
    return lake.nearest(catalog, snapshot_id, text, **_visible(actor, catalog, snapshot_id))


def _visible(actor: Actor, catalog: Catalog, snapshot_id: int) -> Visible:
    """Return whether tables may be browsed by default, and which differ from the default."""
    parent = catalog.securable
    standing = Request(Action.CATALOG_BROWSE, listing.others(parent))
    known = governance.know(actor, [standing], tables_of=parent)
    apart = listing.distinguished(parent, known)
    prefix = f"{catalog.name.lower()}."
    names = frozenset(n.removeprefix(prefix) for n in apart.labels if n.startswith(prefix))
    choice = lake.Choice(apart.uuids, names)
    special = lake.page(catalog, snapshot_id, only=choice, with_sizes=False) if choice else []
    asked = [Request(Action.CATALOG_BROWSE, table.securable(parent)) for table in special]
    default, *decisions = governance.decide_many(actor, [standing, *asked], known=known)
    differ = frozenset(
        table.table_uuid
        for table, decision in zip(special, decisions, strict=True)
        if decision.allowed != default.allowed
    )
    if default.allowed:
        return Visible(only=None, without=differ)
    return Visible(only=lake.Choice(differ), without=frozenset())
