"""Addresses of rows: apart from the others, because nothing is asked as often."""

from __future__ import annotations

from django.urls import URLPattern, path

from catalog.api.rows import BatchView, RowsView, SchemaModeView

CATALOG = "workspaces/<str:workspace>/catalogs/<str:catalog>"
TABLE = f"{CATALOG}/tables/<str:schema>/<str:table>"

urlpatterns: list[URLPattern] = [
    path(f"{TABLE}/rows", RowsView.as_view(), name="api-rows"),
    path(f"{TABLE}/rows/settings", SchemaModeView.as_view(), name="api-rows-settings"),
    path(f"{CATALOG}/batches/<int:batch>", BatchView.as_view(), name="api-batch"),
]
