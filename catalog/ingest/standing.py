"""What a sender's request must know of what is there already, in one statement.

Hundreds of small requests a second ask it: four questions by the ORM cost more than checking
their rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.db import connection

from catalog.ingest.domain import SchemaMode
from catalog.models import Catalog

STATEMENT = """
SELECT (SELECT e.id FROM catalog_ingestbatch e WHERE e.catalog_id = %(catalog)s
          AND e.table_uuid = %(table)s AND e.idempotency_key = %(key)s AND %(key)s <> ''),
       (SELECT s.schema_mode FROM catalog_ingestsetting s
         WHERE s.catalog_id = %(catalog)s AND s.table_uuid = %(table)s),
       count(*) FILTER (WHERE b.catalog_id = %(catalog)s),
       coalesce(sum(b.size_bytes) FILTER (WHERE b.catalog_id = %(catalog)s), 0)::bigint,
       coalesce(sum(b.size_bytes), 0)::bigint
FROM catalog_ingestbatch b JOIN catalog_catalog c ON c.id = b.catalog_id
WHERE c.workspace_id = %(workspace)s AND b.state IN ('taken', 'waiting')
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """The batch that the key made before, the table's setting, and what waits already."""

    earlier_id: int | None
    schema_mode: SchemaMode
    batches: int
    catalog_bytes: int
    workspace_bytes: int


def standing(catalog: Catalog, table_uuid: UUID, key: str) -> Standing:
    """Return how things stand for rows that come now."""
    with connection.cursor() as cursor:
        cursor.execute(
            STATEMENT,
            {
                "catalog": catalog.id,
                "table": table_uuid,
                "key": key,
                "workspace": catalog.workspace_id,
            },
        )
        [(earlier, mode, *waiting)] = cursor.fetchall()
    return Standing(earlier, SchemaMode(mode or SchemaMode.STRICT), *waiting)
