"""What a table looks like to who sends rows: its columns now, without counting anything.

The columns of a lake change with its schema version only, so they are remembered under it.
"""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from uuid import UUID

from catalog import lake
from catalog.domain import Table
from catalog.ingest.domain import SchemaMode, Target
from catalog.models import Catalog, IngestSetting

KEPT = 1024

_known: OrderedDict[tuple[object, ...], Table] = OrderedDict()
_lock = Lock()


def defined(catalog: Catalog, schema: str, name: str) -> Table | None:
    """Return a table as it is defined now, its counts left at zero; None where there is none."""
    newest = lake.latest_snapshot(catalog)
    key = (catalog.id, catalog.name, newest.schema_version, schema.lower(), name.lower())
    with _lock:
        if key in _known:
            _known.move_to_end(key)
            return _known[key]
    label = frozenset({f"{schema}.{name}".lower()})
    found = lake.page(catalog, newest.snapshot_id, only=lake.Choice(names=label), with_columns=True)
    if not found:
        return None
    with _lock:
        _known[key] = found[0]
        while len(_known) > KEPT:
            _known.popitem(last=False)
    return found[0]


def targets_of(table: Table) -> tuple[Target, ...]:
    """Return the columns that rows may go to."""
    return tuple(
        Target(one.name, one.duckdb_type, one.nulls_allowed, one.default_value is not None)
        for one in table.top_columns
    )


def schema_mode(catalog: Catalog, table_uuid: UUID) -> SchemaMode:
    """Return whether rows may change the table's columns."""
    found = IngestSetting.objects.filter(catalog=catalog, table_uuid=table_uuid)
    return SchemaMode(found.values_list("schema_mode", flat=True).first() or SchemaMode.STRICT)
