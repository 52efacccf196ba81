"""Counts the tables of a lake with their rows and bytes, without reading them one by one."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from psycopg import sql

from catalog.lake import facts
from catalog.lake.metadata import compose, live_as, rows
from catalog.lake.search import EVERYTHING
from catalog.lake.tables import SIZES, Choice, chosen
from catalog.models import Catalog

OF_CHOSEN = "table_id IN (SELECT table_id FROM chosen)"


@dataclass(frozen=True, slots=True)
class Totals:
    """How many tables there are, and what they hold together."""

    tables: int = 0
    rows: int = 0
    size_bytes: int = 0


def totals(
    catalog: Catalog,
    snapshot_id: int,
    *,
    only: Choice | None = None,
    without: frozenset[UUID] = frozenset(),
) -> Totals:
    """Return the totals of the tables in `only`, or of all but those in `without`.

    Remembered until the lake's next commit: a lake may have a million files.
    """
    key = ("totals", snapshot_id, only, without)
    return facts.of(catalog, key, lambda: _counted(catalog, snapshot_id, only, without))


def _counted(
    catalog: Catalog, snapshot_id: int, only: Choice | None, without: frozenset[UUID]
) -> Totals:
    condition, parameters = chosen(catalog, only, without, EVERYTHING)
    found = rows(
        catalog,
        "WITH chosen AS MATERIALIZED (SELECT t.table_id FROM {ducklake_table} t"
        " JOIN {ducklake_schema} s USING (schema_id)"
        " WHERE {live_table} AND {live_schema} AND {condition})"
        " SELECT (SELECT count(*) FROM chosen), coalesce(sum(greatest(z.rows, 0)), 0)::bigint,"
        " coalesce(sum(z.bytes), 0)::bigint FROM ({sizes}) AS z (table_id, rows, files, bytes)",
        {"snapshot": snapshot_id, "inlined": True} | parameters,
        live_table=live_as("t"),
        live_schema=live_as("s"),
        condition=condition,
        sizes=compose(
            catalog.metadata_schema,
            SIZES,
            chosen=sql.SQL("table_id IN (SELECT table_id FROM chosen)"),
        ),
    )
    return Totals(*found[0])
