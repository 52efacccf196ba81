"""What a sender's request must know of what is there already, in one statement.

Hundreds of small requests a second ask it: each question of its own costs more than checking
their rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from catalog.domain import Snapshot, Table
from catalog.ingest import tables
from catalog.ingest.domain import SchemaMode
from catalog.lake import metadata
from catalog.models import Catalog

STATEMENT = """
SELECT n.snapshot_id, n.snapshot_time, n.schema_version, n.next_catalog_id, n.next_file_id,
       (SELECT e.id FROM catalog_ingestbatch e WHERE e.catalog_id = %(catalog)s
          AND e.table_uuid = %(table)s AND e.idempotency_key = %(key)s::text
          AND NOT e.idempotency_key = '' AND %(key)s::text <> ''),
       (SELECT s.schema_mode FROM catalog_ingestsetting s
         WHERE s.catalog_id = %(catalog)s AND s.table_uuid = %(table)s),
       q.batches, q.catalog_bytes, q.workspace_bytes
FROM (SELECT snapshot_id, snapshot_time, schema_version, next_catalog_id, next_file_id
      FROM {ducklake_snapshot} ORDER BY snapshot_id DESC LIMIT 1) n,
     (SELECT count(*) FILTER (WHERE b.catalog_id = %(catalog)s) AS batches,
             coalesce(sum(b.size_bytes) FILTER (WHERE b.catalog_id = %(catalog)s), 0)::bigint
               AS catalog_bytes,
             coalesce(sum(b.size_bytes), 0)::bigint AS workspace_bytes
      FROM catalog_ingestbatch b JOIN catalog_catalog c ON c.id = b.catalog_id
      WHERE c.workspace_id = %(workspace)s AND b.state IN ('taken', 'waiting')) q
"""
"""That no key is empty is said once more as the index of keys says it: only then can a plan that is
kept use it, and without that PostgreSQL plans anew each time."""


@dataclass(frozen=True, slots=True)
class Standing:
    """The newest snapshot, the batch that the key made before, the table's setting, what waits."""

    newest: Snapshot
    earlier_id: int | None
    schema_mode: SchemaMode
    batches: int
    catalog_bytes: int
    workspace_bytes: int


def arrival(catalog: Catalog, schema: str, name: str, key: str) -> tuple[Table | None, Standing]:
    """Return the table of that name now, None where there is none, and how things stand for it.

    The table is guessed to be the one of before; the statement says whether it is. Raises
    `CatalogNotReady`.
    """
    guess = tables.remembered(catalog, schema, name)
    now = standing(catalog, guess.table_uuid if guess else UUID(int=0), key)
    table = tables.defined(catalog, schema, name, now.newest)
    if table is not None and (guess is None or guess.table_uuid != table.table_uuid):
        now = standing(catalog, table.table_uuid, key)
    return table, now


def standing(catalog: Catalog, table_uuid: UUID, key: str) -> Standing:
    """Return how things stand for rows that come now. Raises `CatalogNotReady`."""
    found = metadata.rows_by_plan(
        catalog,
        STATEMENT,
        {
            "catalog": catalog.id,
            "table": table_uuid,
            "key": key,
            "workspace": catalog.workspace_id,
        },
    )
    if not found:
        raise metadata.not_ready(catalog)
    [(*newest, earlier, mode, batches, catalog_bytes, workspace_bytes)] = found
    return Standing(
        Snapshot(*newest),
        earlier,
        SchemaMode(mode or SchemaMode.STRICT),
        batches,
        catalog_bytes,
        workspace_bytes,
    )
