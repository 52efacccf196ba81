"""Api addresses of this room."""

from django.urls import URLPattern, path

from audit.api import (
    EventsExportView,
    EventsView,
    WorkspaceEventsExportView,
    WorkspaceEventsView,
)

urlpatterns: list[URLPattern] = [
    path("events", EventsView.as_view(), name="api-events"),
    path("events/export", EventsExportView.as_view(), name="api-events-export"),
    path(
        "workspaces/<str:workspace>/events",
        WorkspaceEventsView.as_view(),
        name="api-workspace-events",
    ),
    path(
        "workspaces/<str:workspace>/events/export",
        WorkspaceEventsExportView.as_view(),
        name="api-workspace-events-export",
    ),
]
