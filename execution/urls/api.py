"""Api addresses of this room."""

from django.urls import path

from execution.api.delegation import ManifestView, ReceiptView
from execution.api.events import QueryEventsView
from execution.api.predictions import ResetPredictionsView
from execution.api.profiles import TableProfileView
from execution.api.queries import PlansView, QueriesView, QueryCancelView, QueryView
from execution.api.results import ResultView
from execution.api.saved import SavedQueriesView, SavedQueryView

WORKSPACE = "workspaces/<str:workspace>"
QUERY = f"{WORKSPACE}/queries/<uuid:query_id>"

urlpatterns = [
    path(
        "devices/<uuid:device_id>/reset-predictions",
        ResetPredictionsView.as_view(),
        name="api-device-reset-predictions",
    ),
    path(
        f"{WORKSPACE}/catalogs/<str:catalog>/tables/<str:schema>/<str:table>/profile",
        TableProfileView.as_view(),
        name="table-profile",
    ),
    path(f"{WORKSPACE}/plans", PlansView.as_view(), name="plans"),
    path(f"{WORKSPACE}/queries", QueriesView.as_view(), name="queries"),
    path(QUERY, QueryView.as_view(), name="query"),
    path(f"{QUERY}/cancel", QueryCancelView.as_view(), name="query-cancel"),
    path(f"{QUERY}/events", QueryEventsView.as_view(), name="query-events"),
    path(f"{QUERY}/manifest", ManifestView.as_view(), name="query-manifest"),
    path(f"{QUERY}/receipt", ReceiptView.as_view(), name="query-receipt"),
    path(f"{QUERY}/result", ResultView.as_view(), name="query-result"),
    path(f"{WORKSPACE}/saved-queries", SavedQueriesView.as_view(), name="saved-queries"),
    path(
        f"{WORKSPACE}/saved-queries/<uuid:saved_id>",
        SavedQueryView.as_view(),
        name="saved-query",
    ),
]
