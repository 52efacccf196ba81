"""Api addresses of this room."""

from django.urls import URLPattern, path

from workspaces.api import WorkspacesView, WorkspaceView

urlpatterns: list[URLPattern] = [
    path("workspaces", WorkspacesView.as_view(), name="api-workspaces"),
    path("workspaces/<str:workspace>", WorkspaceView.as_view(), name="api-workspace"),
]
