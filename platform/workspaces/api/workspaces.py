"""`/api/v1/workspaces`: where the actor works, with which roles and limits."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import generics, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.organization import own_organization
from accounts.domain import Actor, Scope
from api.pagination import CursorPagination
from api.permissions import ANY_TOKEN, RequiredScopes, actor_of
from workspaces import services as workspaces
from workspaces.limits import LIMITS
from workspaces.models import Membership, Workspace
from workspaces.selectors import find_workspace


class WorkspaceSerializer(serializers.Serializer[Workspace]):
    """A workspace and its limits."""

    id = serializers.UUIDField()
    slug = serializers.SlugField()
    name = serializers.CharField()
    max_scan_bytes = serializers.IntegerField()
    max_result_rows = serializers.IntegerField()
    max_result_bytes = serializers.IntegerField()
    max_stored_bytes = serializers.IntegerField()
    max_extract_bytes = serializers.IntegerField()
    max_stored_extract_bytes = serializers.IntegerField()
    query_timeout_seconds = serializers.IntegerField()
    query_memory_bytes = serializers.IntegerField()
    local_max_bytes = serializers.IntegerField()
    max_running_queries = serializers.IntegerField()
    max_running_per_principal = serializers.IntegerField()
    max_queued_queries = serializers.IntegerField()
    max_queued_per_principal = serializers.IntegerField()
    drop_grace_days = serializers.IntegerField()
    created_at = serializers.DateTimeField()


class WorkspaceWithRolesSerializer(WorkspaceSerializer):
    """A workspace, its limits and what the actor is to it."""

    roles = serializers.ListField(child=serializers.CharField())


class NewWorkspaceSerializer(serializers.Serializer[Any]):
    """What to create."""

    name = serializers.CharField(max_length=120)
    slug = serializers.SlugField(max_length=60)


class ChangedLimitsSerializer(serializers.Serializer[Any]):
    """Limits to set; those left out stay as they are."""

    def get_fields(self) -> dict[str, Any]:
        """Return one field for each limit there is."""
        return {
            limit.name: serializers.IntegerField(
                min_value=limit.least,
                max_value=limit.most,
                required=False,
                help_text=f"{limit.label}. {limit.help}",
            )
            for limit in LIMITS
        }


class ByName(CursorPagination):
    """Workspaces are few and read by name."""

    ordering = "name"


@extend_schema_view(get=extend_schema(operation_id="list_workspaces", tags=["identity"]))
class WorkspacesView(generics.ListAPIView[Workspace]):
    """List workspaces and create them."""

    serializer_class = WorkspaceSerializer
    pagination_class = ByName
    required_scopes: ClassVar[RequiredScopes] = {"GET": ANY_TOKEN, "POST": Scope.ADMIN}

    def get_queryset(self) -> QuerySet[Workspace]:
        """Return the workspaces that the actor belongs to or oversees."""
        return Workspace.objects.visible_to(actor_of(self.request))

    @extend_schema(
        operation_id="create_workspace",
        request=NewWorkspaceSerializer,
        responses={201: WorkspaceSerializer},
        tags=["identity"],
    )
    def post(self, request: Request) -> Response:
        """Create a workspace and own it (administrators)."""
        actor = actor_of(request)
        given = NewWorkspaceSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        workspace = workspaces.create_workspace(
            actor=actor, organization=own_organization(actor), **given.validated_data
        )
        return Response(WorkspaceSerializer(workspace).data, status=status.HTTP_201_CREATED)


class WorkspaceView(APIView):
    """One workspace."""

    required_scopes: ClassVar[RequiredScopes] = {"GET": ANY_TOKEN, "PATCH": Scope.ADMIN}

    @extend_schema(
        operation_id="get_workspace", responses=WorkspaceWithRolesSerializer, tags=["identity"]
    )
    def get(self, request: Request, workspace: str) -> Response:
        """Return the workspace that a slug or an id names, with the actor's roles in it."""
        actor = actor_of(request)
        return Response(_document(actor, find_workspace(actor, workspace)))

    @extend_schema(
        operation_id="change_workspace",
        request=ChangedLimitsSerializer,
        responses=WorkspaceWithRolesSerializer,
        tags=["identity"],
    )
    def patch(self, request: Request, workspace: str) -> Response:
        """Set limits of the workspace (its owners and administrators)."""
        actor = actor_of(request)
        row = find_workspace(actor, workspace)
        given = ChangedLimitsSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        row = workspaces.change_limits(actor=actor, workspace=row, limits=given.validated_data)
        return Response(_document(actor, row))


def _document(actor: Actor, row: Workspace) -> dict[str, Any]:
    roles = Membership.objects.roles_of(actor, row.id)
    return dict(WorkspaceSerializer(row).data) | {"roles": sorted(roles)}
