"""Api addresses of this room."""

from django.urls import URLPattern, path

from workspaces.api.members import MembersView, MemberView
from workspaces.api.workspaces import WorkspacesView, WorkspaceView

urlpatterns: list[URLPattern] = [
    path("workspaces", WorkspacesView.as_view(), name="api-workspaces"),
    path("workspaces/<str:workspace>", WorkspaceView.as_view(), name="api-workspace"),
    path("workspaces/<str:workspace>/members", MembersView.as_view(), name="api-members"),
    path(
        "workspaces/<str:workspace>/members/<uuid:membership_id>",
        MemberView.as_view(),
        name="api-member",
    ),
]
