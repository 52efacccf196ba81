"""The state of what exists: buckets, catalogs, and the jobs of the one writer per catalog.

Tables, columns, files and snapshots are never mirrored here: `catalog.lake` reads them from
DuckLake's own metadata tables.
"""

from catalog.models.adoptions import Adoption, AdoptionQuerySet
from catalog.models.buckets import Bucket, BucketKey
from catalog.models.catalogs import Catalog, CatalogQuerySet
from catalog.models.connectors import Connector, ConnectorFile, ConnectorRun
from catalog.models.ingest import IngestBatch, IngestPayload, IngestSetting
from catalog.models.jobs import Job, JobQuerySet
from catalog.models.maintenance import (
    CatalogStanding,
    MaintenancePolicy,
    MaintenanceRun,
    MaintenanceRunQuerySet,
)
from catalog.models.snapshot_tags import SnapshotTag
from catalog.models.transfers import Transfer

__all__ = [
    "Adoption",
    "AdoptionQuerySet",
    "Bucket",
    "BucketKey",
    "Catalog",
    "CatalogQuerySet",
    "CatalogStanding",
    "Connector",
    "ConnectorFile",
    "ConnectorRun",
    "IngestBatch",
    "IngestPayload",
    "IngestSetting",
    "Job",
    "JobQuerySet",
    "MaintenancePolicy",
    "MaintenanceRun",
    "MaintenanceRunQuerySet",
    "SnapshotTag",
    "Transfer",
]
