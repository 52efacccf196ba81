"""Console addresses of what exists."""

from django.urls import path

from catalog import (
    adoption_views,
    bucket_views,
    connector_views,
    dropped_views,
    lifecycle_views,
    maintenance_views,
    registration_views,
    rollback_views,
    stored_view_views,
    views,
)

BUCKETS = "w/<slug:workspace>/buckets"
ADOPTIONS = "w/<slug:workspace>/adoptions"
PLACE = "w/<slug:workspace>/catalog"
CONNECTORS = "w/<slug:workspace>/connectors/<str:catalog>"

urlpatterns = [
    path(BUCKETS, bucket_views.buckets, name="page-buckets"),
    path(f"{BUCKETS}/connect", bucket_views.connect, name="page-bucket-connect"),
    path(f"{BUCKETS}/<str:bucket>", bucket_views.bucket, name="page-bucket"),
    path(
        f"{BUCKETS}/<str:bucket>/settings",
        bucket_views.bucket_settings,
        name="page-bucket-settings",
    ),
    path(f"{BUCKETS}/<str:bucket>/<slug:step>", bucket_views.bucket_step, name="page-bucket-step"),
    path(ADOPTIONS, adoption_views.adoptions, name="page-adoptions"),
    path(f"{ADOPTIONS}/new", adoption_views.new_adoption, name="page-adoption-new"),
    path(f"{ADOPTIONS}/<uuid:adoption>", adoption_views.adoption, name="page-adoption"),
    path(
        f"{ADOPTIONS}/<uuid:adoption>/<slug:step>",
        adoption_views.adoption_step,
        name="page-adoption-step",
    ),
    path(PLACE, views.catalogs, name="page-catalogs"),
    path(f"{PLACE}/create", views.create_catalog, name="page-catalog-create"),
    path(f"{PLACE}/<str:catalog>", views.catalog, name="page-catalog"),
    path(
        f"{PLACE}/<str:catalog>/settings",
        lifecycle_views.catalog_settings,
        name="page-catalog-settings",
    ),
    path(
        f"{PLACE}/<str:catalog>/rollback",
        rollback_views.roll_back_catalog,
        name="page-catalog-rollback",
    ),
    path(
        f"{PLACE}/<str:catalog>/register",
        registration_views.register,
        name="page-register",
    ),
    path(
        f"{PLACE}/<str:catalog>/new-view",
        stored_view_views.new_view,
        name="page-view-new",
    ),
    path(
        f"{PLACE}/<str:catalog>/connectors",
        connector_views.catalog_connectors,
        name="page-connectors",
    ),
    path(
        "w/<slug:workspace>/new-connector/<str:catalog>",
        connector_views.new_connector,
        name="page-connector-new",
    ),
    path(f"{CONNECTORS}/<str:connector>", connector_views.connector, name="page-connector"),
    path(
        f"{CONNECTORS}/<str:connector>/<slug:step>",
        connector_views.connector_step,
        name="page-connector-step",
    ),
    path(
        "w/<slug:workspace>/dropped-catalogs/<str:catalog>/restore",
        lifecycle_views.restore_catalog,
        name="page-catalog-restore",
    ),
    path(
        f"{PLACE}/<str:catalog>/maintenance",
        maintenance_views.catalog_maintenance,
        name="page-catalog-maintenance",
    ),
    path("w/<slug:workspace>/health", maintenance_views.health, name="page-health"),
    path(
        "w/<slug:workspace>/maintenance/<uuid:run>",
        maintenance_views.maintenance_run,
        name="page-upkeep-run",
    ),
    path(
        "w/<slug:workspace>/maintenance/<uuid:run>/cancel",
        maintenance_views.cancel_maintenance,
        name="page-upkeep-cancel",
    ),
    path(
        f"{PLACE}/<str:catalog>/dropped-tables/<uuid:table>/restore",
        dropped_views.restore_table,
        name="page-table-restore",
    ),
    path(f"{PLACE}/<str:catalog>/<str:schema>/<str:table>", views.table, name="page-table"),
    path(
        f"{PLACE}/<str:catalog>/<str:schema>/<str:table>/maintenance",
        maintenance_views.table_maintenance,
        name="page-table-maintenance",
    ),
    path(
        f"{PLACE}/<str:catalog>/<str:schema>/<str:view>/view",
        stored_view_views.view,
        name="page-view",
    ),
    path(
        f"{PLACE}/<str:catalog>/<str:schema>/<str:view>/view/change",
        stored_view_views.change_view,
        name="page-view-change",
    ),
    path(
        f"{PLACE}/<str:catalog>/<str:schema>/<str:view>/view/drop",
        stored_view_views.drop_view,
        name="page-view-drop",
    ),
    path(
        f"{PLACE}/<str:catalog>/<str:schema>/<str:table>/describe",
        views.describe_table,
        name="page-table-describe",
    ),
]
