"""What a table looks like to who sends rows: its columns now, without counting anything.

The columns of a lake change with its schema version only, so they are remembered under it.
"""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from uuid import UUID

from catalog import lake
from catalog.domain import Snapshot, Table
from catalog.ingest.domain import SchemaMode, Target
from catalog.models import Catalog, IngestSetting

KEPT = 1024

_known: OrderedDict[tuple[object, ...], tuple[int, Table]] = OrderedDict()
"""Tables by their names, each with the schema version that it was read at."""
_lock = Lock()


def remembered(catalog: Catalog, schema: str, name: str) -> Table | None:
    """Return the table that had the name when it was last asked for: by now it may be another."""
    with _lock:
        found = _known.get(_place(catalog, schema, name))
    return found[1] if found else None


def defined(
    catalog: Catalog, schema: str, name: str, newest: Snapshot | None = None
) -> Table | None:
    """Return a table as it is defined now, its counts left at zero; None where there is none.

    `newest` is the newest snapshot where the caller has just read it.
    """
    newest = newest or lake.latest_snapshot(catalog)
    place = _place(catalog, schema, name)
    with _lock:
        version, table = _known.get(place, (None, None))
        if version == newest.schema_version:
            _known.move_to_end(place)
            return table
    label = frozenset({f"{schema}.{name}".lower()})
    found = lake.page(catalog, newest.snapshot_id, only=lake.Choice(names=label), with_columns=True)
    if not found:
        return None
    with _lock:
        _known[place] = (newest.schema_version, found[0])
        while len(_known) > KEPT:
            _known.popitem(last=False)
    return found[0]


def _place(catalog: Catalog, schema: str, name: str) -> tuple[object, ...]:
    return catalog.id, catalog.name, schema.lower(), name.lower()


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
