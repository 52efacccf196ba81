"""Api addresses of this room."""

from django.urls import URLPattern, path

from catalog.api.adoptions import (
    AdoptionsView,
    AdoptionView,
    CancelAdoptionView,
    ConfirmAdoptionView,
    SyncView,
)
from catalog.api.buckets import BucketCheckView, BucketKeysView, BucketsView, BucketView
from catalog.api.catalog_rollback import CatalogRollbackView
from catalog.api.catalogs import CatalogsView, CatalogView, SnapshotsView
from catalog.api.changed_rows import ChangedRowsOfView, ChangedRowsView
from catalog.api.connectors.views import (
    CheckSourceView,
    ConnectorsView,
    ConnectorView,
    RunConnectorView,
)
from catalog.api.definitions import SchemasView, SchemaView, TableChangesView
from catalog.api.details import CatalogDetailsView, ColumnDetailsView, TableDetailsView
from catalog.api.dropped import DroppedTablesView, RestoreTableView
from catalog.api.governance import TableDecisionsView
from catalog.api.health import OrphansView, WorkspaceHealthView
from catalog.api.history import (
    SnapshotTagsView,
    SnapshotTagView,
    TableDifferenceView,
    TableRollbackView,
    TableSnapshotsView,
)
from catalog.api.lifecycle import (
    CatalogArchiveView,
    DroppedCatalogsView,
    RestoreCatalogView,
)
from catalog.api.maintenance import (
    CatalogMaintenanceView,
    MaintenanceRunsView,
    MaintenanceRunView,
    TableMaintenanceView,
)
from catalog.api.registrations import RegistrationsView
from catalog.api.stored_views import StoredViewChangesView, StoredViewsView, StoredViewView
from catalog.api.tables import TablesView, TableView
from catalog.api.tags import CatalogTagView, ColumnTagView, TableTagsView, TableTagView
from catalog.api.transfers import (
    CompleteTransferView,
    LoadTransferView,
    PreviewTransferView,
    TransferPartsView,
    TransferPartView,
    TransfersView,
    TransferView,
)
from catalog.api.uploads import JobView, UploadsView

BUCKETS = "workspaces/<str:workspace>/buckets"
CATALOGS = "workspaces/<str:workspace>/catalogs"
CATALOG = f"{CATALOGS}/<str:catalog>"
ADOPTIONS = "workspaces/<str:workspace>/adoptions"
ADOPTION = f"{ADOPTIONS}/<uuid:adoption>"
DROPPED = "workspaces/<str:workspace>/dropped-catalogs"
CONNECTOR = f"{CATALOG}/connectors/<str:connector>"
TRANSFER = f"{CATALOG}/transfers/<uuid:transfer>"
TABLE = f"{CATALOG}/tables/<str:schema>/<str:table>"
VIEW = f"{CATALOG}/views/<str:schema>/<str:view>"

urlpatterns: list[URLPattern] = [
    path(BUCKETS, BucketsView.as_view(), name="api-buckets"),
    path(f"{BUCKETS}/<str:bucket>", BucketView.as_view(), name="api-bucket"),
    path(f"{BUCKETS}/<str:bucket>/check", BucketCheckView.as_view(), name="api-bucket-check"),
    path(f"{BUCKETS}/<str:bucket>/keys", BucketKeysView.as_view(), name="api-bucket-keys"),
    path(CATALOGS, CatalogsView.as_view(), name="api-catalogs"),
    path(CATALOG, CatalogView.as_view(), name="api-catalog"),
    path(f"{CATALOG}/archive", CatalogArchiveView.as_view(), name="api-catalog-archive"),
    path(ADOPTIONS, AdoptionsView.as_view(), name="api-adoptions"),
    path(ADOPTION, AdoptionView.as_view(), name="api-adoption"),
    path(f"{ADOPTION}/confirm", ConfirmAdoptionView.as_view(), name="api-adoption-confirm"),
    path(f"{ADOPTION}/cancel", CancelAdoptionView.as_view(), name="api-adoption-cancel"),
    path(f"{CATALOG}/sync", SyncView.as_view(), name="api-catalog-sync"),
    path(DROPPED, DroppedCatalogsView.as_view(), name="api-dropped-catalogs"),
    path(
        f"{DROPPED}/<str:catalog>/restore",
        RestoreCatalogView.as_view(),
        name="api-catalog-restore",
    ),
    path(f"{CATALOG}/tables", TablesView.as_view(), name="api-tables"),
    path(TABLE, TableView.as_view(), name="api-table"),
    path(f"{TABLE}/changes", TableChangesView.as_view(), name="api-table-changes"),
    path(f"{CATALOG}/views", StoredViewsView.as_view(), name="api-views"),
    path(VIEW, StoredViewView.as_view(), name="api-view"),
    path(f"{VIEW}/changes", StoredViewChangesView.as_view(), name="api-view-changes"),
    path(f"{CATALOG}/schemas", SchemasView.as_view(), name="api-schemas"),
    path(f"{CATALOG}/schemas/<str:schema>", SchemaView.as_view(), name="api-schema"),
    path(f"{TABLE}/snapshots", TableSnapshotsView.as_view(), name="api-table-snapshots"),
    path(f"{TABLE}/differences", TableDifferenceView.as_view(), name="api-table-differences"),
    path(f"{TABLE}/changed-rows", ChangedRowsView.as_view(), name="api-changed-rows"),
    path(
        f"{CATALOG}/changed-rows/<uuid:job>",
        ChangedRowsOfView.as_view(),
        name="api-changed-rows-of",
    ),
    path(f"{CATALOG}/rollback", CatalogRollbackView.as_view(), name="api-catalog-rollback"),
    path(f"{CATALOG}/dropped-tables", DroppedTablesView.as_view(), name="api-dropped-tables"),
    path(
        f"{CATALOG}/dropped-tables/<uuid:table>/restore",
        RestoreTableView.as_view(),
        name="api-table-restore",
    ),
    path(f"{TABLE}/rollback", TableRollbackView.as_view(), name="api-table-rollback"),
    path(f"{CATALOG}/snapshot-tags", SnapshotTagsView.as_view(), name="api-snapshot-tags"),
    path(f"{CATALOG}/snapshot-tags/<str:tag>", SnapshotTagView.as_view(), name="api-snapshot-tag"),
    path(f"{TABLE}/decisions", TableDecisionsView.as_view(), name="api-table-decisions"),
    path(f"{CATALOG}/details", CatalogDetailsView.as_view(), name="api-catalog-details"),
    path(f"{TABLE}/details", TableDetailsView.as_view(), name="api-table-details"),
    path(
        f"{TABLE}/columns/<str:column>/details",
        ColumnDetailsView.as_view(),
        name="api-column-details",
    ),
    path(f"{TABLE}/tags", TableTagsView.as_view(), name="api-table-tags"),
    path(
        f"{TABLE}/columns/<str:column>/tags/<str:tag>",
        ColumnTagView.as_view(),
        name="api-column-tag",
    ),
    path(f"{TABLE}/tags/<str:tag>", TableTagView.as_view(), name="api-table-tag"),
    path(f"{CATALOG}/tags/<str:tag>", CatalogTagView.as_view(), name="api-catalog-tag"),
    path(f"{CATALOG}/maintenance", CatalogMaintenanceView.as_view(), name="api-maintenance"),
    path(f"{CATALOG}/maintenance/runs", MaintenanceRunsView.as_view(), name="api-upkeep-runs"),
    path(f"{CATALOG}/maintenance/orphans", OrphansView.as_view(), name="api-orphans"),
    path(
        "workspaces/<str:workspace>/maintenance",
        WorkspaceHealthView.as_view(),
        name="api-workspace-health",
    ),
    path(f"{TABLE}/maintenance", TableMaintenanceView.as_view(), name="api-table-maintenance"),
    path(
        "workspaces/<str:workspace>/maintenance/<uuid:run>",
        MaintenanceRunView.as_view(),
        name="api-upkeep-run",
    ),
    path(f"{CATALOG}/snapshots", SnapshotsView.as_view(), name="api-snapshots"),
    path(f"{CATALOG}/registrations", RegistrationsView.as_view(), name="api-registrations"),
    path(f"{CATALOG}/uploads", UploadsView.as_view(), name="api-uploads"),
    path(f"{CATALOG}/connectors", ConnectorsView.as_view(), name="api-connectors"),
    path(
        f"{CATALOG}/connectors:check", CheckSourceView.as_view(), name="api-connector-source-check"
    ),
    path(f"{CONNECTOR}:run", RunConnectorView.as_view(), name="api-connector-run"),
    path(CONNECTOR, ConnectorView.as_view(), name="api-connector"),
    path(f"{CATALOG}/transfers", TransfersView.as_view(), name="api-transfers"),
    path(TRANSFER, TransferView.as_view(), name="api-transfer"),
    path(f"{TRANSFER}/parts", TransferPartsView.as_view(), name="api-transfer-parts"),
    path(f"{TRANSFER}/parts/<int:number>", TransferPartView.as_view(), name="api-transfer-part"),
    path(f"{TRANSFER}:complete", CompleteTransferView.as_view(), name="api-transfer-complete"),
    path(f"{TRANSFER}:preview", PreviewTransferView.as_view(), name="api-transfer-preview"),
    path(f"{TRANSFER}:load", LoadTransferView.as_view(), name="api-transfer-load"),
    path("workspaces/<str:workspace>/jobs/<uuid:job>", JobView.as_view(), name="api-job"),
]
