"""Addresses of what an organization settles for all of its workspaces: tags and local compute."""

from django.urls import URLPattern, path

from governance.api.tag_definitions import (
    TagDefinitionsView,
    TagDefinitionView,
    WorkspaceTagView,
)
from governance.views import organization

urlpatterns: list[URLPattern] = [
    path("api/v1/organization/tags", TagDefinitionsView.as_view(), name="api-tag-definitions"),
    path(
        "api/v1/organization/tags/<str:tag>",
        TagDefinitionView.as_view(),
        name="api-tag-definition",
    ),
    path(
        "api/v1/workspaces/<str:workspace>/tags/<str:tag>",
        WorkspaceTagView.as_view(),
        name="api-workspace-tag",
    ),
    path("organization", organization.page, name="page-organization"),
    path(
        "organization/local-mode",
        organization.switch_local_mode,
        name="page-organization-local-mode",
    ),
    path("organization/tags", organization.define_tag, name="page-organization-tags"),
    path(
        "organization/tags/only-defined",
        organization.switch_governed_tags,
        name="page-organization-governed-tags",
    ),
    path(
        "organization/tags/<slug:tag>/delete",
        organization.delete_tag,
        name="page-organization-tag-delete",
    ),
    path(
        "organization/attributes/<str:kind>/<uuid:principal>",
        organization.set_attributes,
        name="page-organization-attributes",
    ),
]
