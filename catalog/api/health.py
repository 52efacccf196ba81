"""Endpoints of how lakes stand: a whole workspace at once, and what of a bucket nothing names."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.domain import Scope
from api.permissions import RequiredScopes, actor_of
from catalog.api.maintenance import MaintenanceStepSerializer, TableHealthSerializer
from catalog.api.naming import named_catalog
from catalog.maintenance import overview, workspace
from workspaces.selectors import find_workspace


class HealthTotalsSerializer(serializers.Serializer[Any]):
    """How lakes stand together."""

    tables = serializers.IntegerField()
    tables_in_need = serializers.IntegerField(help_text="For which a step is due.")
    files = serializers.IntegerField()
    size_bytes = serializers.IntegerField()
    small_files = serializers.IntegerField()
    inlined_rows = serializers.IntegerField()
    snapshots = serializers.IntegerField()
    held_files = serializers.IntegerField(help_text="That only older snapshots need.")
    held_bytes = serializers.IntegerField()
    files_to_delete = serializers.IntegerField(help_text="Replaced ones, some maybe still read.")
    orphans = serializers.IntegerField(help_text="That nothing names, when last looked for.")
    orphan_bytes = serializers.IntegerField()
    requests_saved = serializers.IntegerField(
        help_text="Of the queries of the last seven days, by fewer files."
    )
    bytes_saved = serializers.IntegerField(help_text="Of those, by rows that are gone for good.")


class CatalogHealthSerializer(HealthTotalsSerializer):
    """How one catalog stands, and what is done next."""

    name = serializers.CharField()
    measured_at = serializers.DateTimeField(allow_null=True)
    orphans_found_at = serializers.DateTimeField(allow_null=True)
    next = serializers.CharField(help_text="When the schedule does something, in words.")
    next_step = MaintenanceStepSerializer(allow_null=True)
    run = serializers.UUIDField(allow_null=True, help_text="The run that is under way.")


class WorkspaceTableHealthSerializer(TableHealthSerializer):
    """How a table of any catalog stands."""

    catalog = serializers.CharField()
    needs = serializers.ListField(child=serializers.CharField(), help_text="Steps that are due.")


class WorkspaceHealthSerializer(serializers.Serializer[Any]):
    """How the lakes of a workspace stand."""

    sort = serializers.CharField()
    totals = HealthTotalsSerializer()
    catalogs = CatalogHealthSerializer(many=True)
    tables = WorkspaceTableHealthSerializer(
        many=True, help_text="Those that need work, then those that hold history; some of them."
    )


class OrphansSerializer(serializers.Serializer[Any]):
    """What a look into the bucket found that nothing names."""

    orphans = serializers.IntegerField()
    orphan_bytes = serializers.IntegerField()
    orphans_found_at = serializers.DateTimeField()
    keys = serializers.ListField(child=serializers.CharField(), help_text="Some of them.")


class WorkspaceHealthView(APIView):
    """The health of a workspace's lakes."""

    required_scopes: ClassVar[RequiredScopes] = {"GET": Scope.CATALOG_READ}

    @extend_schema(
        operation_id="get_workspace_health",
        parameters=[OpenApiParameter("sort", str, description="How tables are listed.")],
        responses=WorkspaceHealthSerializer,
        tags=["maintenance"],
    )
    def get(self, request: Request, **names: str) -> Response:
        """Return how the catalogs stand that you may maintain, as measured minutes ago."""
        actor = actor_of(request)
        place = find_workspace(actor, names["workspace"])
        found = workspace.health(actor, place, sort=request.query_params.get("sort") or "need")
        return Response(WorkspaceHealthSerializer(found).data)


class OrphansView(APIView):
    """What of a catalog's bucket nothing names."""

    required_scopes: ClassVar[RequiredScopes] = {"POST": Scope.CATALOG_WRITE}

    @extend_schema(
        operation_id="find_orphans", request=None, responses=OrphansSerializer, tags=["maintenance"]
    )
    def post(self, request: Request, catalog: str, **names: str) -> Response:
        """List the catalog's prefix and count what nothing names; nothing is deleted."""
        actor = actor_of(request)
        found = named_catalog(actor, names["workspace"], catalog)
        return Response(OrphansSerializer(overview.find_orphans(actor, found)).data)
