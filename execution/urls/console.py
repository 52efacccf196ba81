"""Console addresses of what runs."""

from django.urls import path

from execution import activity, views

PLACE = "w/<slug:workspace>"

urlpatterns = [
    path("isolation", views.isolation_page, name="page-isolation"),
    path(
        "devices/<uuid:device>/reset-predictions",
        views.reset_predictions,
        name="page-device-reset-predictions",
    ),
    path(
        f"{PLACE}/catalog/<str:catalog>/<str:schema>/<str:table>/activity",
        activity.activity,
        name="page-table-activity",
    ),
    path(f"{PLACE}/query", views.query, name="page-query"),
    path(f"{PLACE}/query/tables", views.tables, name="page-query-tables"),
    path(f"{PLACE}/query/plan", views.plan, name="page-plan"),
    path(f"{PLACE}/query/history", views.history, name="page-history"),
    path(f"{PLACE}/queries/<uuid:query>", views.permalink, name="page-permalink"),
    path(f"{PLACE}/queries/<uuid:query>/plan", views.plan_panel, name="page-query-plan"),
    path(f"{PLACE}/saved", views.saved, name="page-saved"),
    path(f"{PLACE}/saved/<uuid:saved>/delete", views.delete_saved, name="page-saved-delete"),
]
