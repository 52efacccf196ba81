"""Finds the names that begin or end most like one that was misspelt, without reading all to Python.

Among names in order, those that share the longest beginning with a text are its neighbours; among
names read backwards, those that share the longest end.
"""

from __future__ import annotations

from uuid import UUID

from psycopg import sql

from catalog.lake.metadata import live_as, rows
from catalog.lake.search import EVERYTHING
from catalog.lake.tables import Choice, chosen
from catalog.models import Catalog

EACH_WAY = 15
"""So many neighbours are read before and after each place where the name would stand."""

ORDERS = {"label": "text", "name": "table", "backwards": "backwards"}
"""What names are ordered by, and which value stands among them."""

FOLLOWING = sql.SQL(
    "(SELECT schema_name, table_name FROM names WHERE {order} >= {value}"
    " ORDER BY {order} LIMIT %(most)s)"
)
PRECEDING = sql.SQL(
    "(SELECT schema_name, table_name FROM names WHERE {order} < {value}"
    " ORDER BY {order} DESC LIMIT %(most)s)"
)


def nearest(
    catalog: Catalog,
    snapshot_id: int,
    text: str,
    *,
    only: Choice | None = None,
    without: frozenset[UUID] = frozenset(),
) -> list[str]:
    """Return the whole names of live tables that are spelt most like `text`, in no order.

    Of those in `only`, or all but those in `without`.
    """
    condition, parameters = chosen(catalog, only, without, EVERYTHING)
    lowered = text.lower()
    found = rows(
        catalog,
        "WITH names AS MATERIALIZED (SELECT schema_name, table_name,"
        ' lower(table_name) COLLATE "C" AS name, label COLLATE "C" AS label,'
        ' reverse(label) COLLATE "C" AS backwards FROM (SELECT s.schema_name, t.table_name,'
        "  lower(%(catalog)s || '.' || s.schema_name || '.' || t.table_name) AS label"
        "  FROM {ducklake_table} t JOIN {ducklake_schema} s USING (schema_id)"
        "  WHERE {live_table} AND {live_schema} AND ({condition})) spelt) {neighbours}",
        parameters
        | {"snapshot": snapshot_id, "most": EACH_WAY, "catalog": catalog.name}
        | {"text": lowered, "table": lowered.rpartition(".")[2], "backwards": lowered[::-1]},
        live_table=live_as("t"),
        live_schema=live_as("s"),
        condition=condition,
        neighbours=sql.SQL(" UNION ").join(
            side.format(order=sql.Identifier(order), value=sql.Placeholder(value))
            for order, value in ORDERS.items()
            for side in (FOLLOWING, PRECEDING)
        ),
    )
    return [f"{catalog.name}.{schema}.{name}" for schema, name in found]
