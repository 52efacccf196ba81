"""The one place that knows the DuckLake 1.0 specification: a typed reader by SQL.

Every read names its snapshot. Nothing is cached or mirrored, so nothing can drift.
"""

from catalog.lake.changes import State, unchanged_since
from catalog.lake.facts import at_one_moment
from catalog.lake.indexes import create_indexes, drop
from catalog.lake.inlined import InlinedRows
from catalog.lake.metadata import CatalogNotReady, is_encrypted, ready
from catalog.lake.nearest import nearest
from catalog.lake.paths import PathOutsidePrefix, key_of
from catalog.lake.pruning import prune
from catalog.lake.search import EVERYTHING, Search
from catalog.lake.slicing import MetadataRows, Selection, SliceRows, slice_rows
from catalog.lake.snapshots import (
    Change,
    UnknownSnapshot,
    committed_with,
    latest_snapshot,
    snapshot,
    snapshot_at,
    snapshots,
)
from catalog.lake.summaries import ColumnSummary, column_summaries
from catalog.lake.tables import Choice, page, schemas, table, table_by_uuid, tables
from catalog.lake.totals import Totals, totals
from catalog.lake.upkeep import CatalogBusy
from catalog.lake.views import View, view, views

__all__ = [
    "EVERYTHING",
    "CatalogBusy",
    "CatalogNotReady",
    "Change",
    "Choice",
    "ColumnSummary",
    "InlinedRows",
    "MetadataRows",
    "PathOutsidePrefix",
    "Search",
    "Selection",
    "SliceRows",
    "State",
    "Totals",
    "UnknownSnapshot",
    "View",
    "at_one_moment",
    "column_summaries",
    "committed_with",
    "create_indexes",
    "drop",
    "is_encrypted",
    "key_of",
    "latest_snapshot",
    "nearest",
    "page",
    "prune",
    "ready",
    "schemas",
    "slice_rows",
    "snapshot",
    "snapshot_at",
    "snapshots",
    "table",
    "table_by_uuid",
    "tables",
    "totals",
    "unchanged_since",
    "view",
    "views",
]
