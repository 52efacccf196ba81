"""Console addresses of what exists."""

from django.urls import path

from catalog import views

PLACE = "w/<slug:workspace>/catalog"

urlpatterns = [
    path(PLACE, views.catalogs, name="page-catalogs"),
    path(f"{PLACE}/create", views.create_catalog, name="page-catalog-create"),
    path(f"{PLACE}/<str:catalog>", views.catalog, name="page-catalog"),
    path(f"{PLACE}/<str:catalog>/<str:schema>/<str:table>", views.table, name="page-table"),
    path(
        f"{PLACE}/<str:catalog>/<str:schema>/<str:table>/describe",
        views.describe_table,
        name="page-table-describe",
    ),
]
