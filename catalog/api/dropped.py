"""Endpoints of tables that were dropped: which could come back, and how."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.domain import Scope
from api.permissions import RequiredScopes
from catalog.api.definitions import IDEMPOTENCY, idempotency_key, place_of
from catalog.api.operations import ChangePreviewSerializer
from catalog.api.serializers import JobSerializer
from catalog.services import dropped


class DroppedTableSerializer(serializers.Serializer[Any]):
    """A table that was dropped and could come back."""

    table_uuid = serializers.UUIDField()
    schema_name = serializers.CharField()
    name = serializers.CharField()
    last_snapshot = serializers.IntegerField(help_text="The last one that has it.")
    dropped_at = serializers.DateTimeField()
    dropped_by = serializers.CharField()
    record_count = serializers.IntegerField()
    file_size_bytes = serializers.IntegerField()


class DroppedTableListSerializer(serializers.Serializer[Any]):
    """Dropped tables, the last one first."""

    results = DroppedTableSerializer(many=True)


class DroppedTablesView(APIView):
    """The tables that were dropped from a catalog."""

    required_scopes: ClassVar[RequiredScopes] = {"GET": Scope.CATALOG_READ}

    @extend_schema(
        operation_id="list_dropped_tables", responses=DroppedTableListSerializer, tags=["catalog"]
    )
    def get(self, request: Request, workspace: str, catalog: str) -> Response:
        """List the dropped tables whose last snapshot is still kept, the last one first."""
        actor, found = place_of(request, workspace, catalog)
        shown = [one.as_dict() for one in dropped.restorable_tables(actor, found)]
        return Response(DroppedTableListSerializer({"results": shown}).data)


class RestoreTableSerializer(serializers.Serializer[Any]):
    """Whether only to say what it would do."""

    dry_run = serializers.BooleanField(default=False)


class RestoreTableView(APIView):
    """The return of a dropped table."""

    required_scopes: ClassVar[RequiredScopes] = {"POST": Scope.CATALOG_WRITE}

    @extend_schema(
        operation_id="restore_table",
        parameters=[IDEMPOTENCY],
        request=RestoreTableSerializer,
        responses={200: ChangePreviewSerializer, 202: JobSerializer},
        tags=["catalog"],
    )
    def post(self, request: Request, workspace: str, catalog: str, table: UUID) -> Response:
        """Say what would come back (`dry_run`), or queue it as a new snapshot."""
        actor, found = place_of(request, workspace, catalog)
        given = RestoreTableSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        if given.validated_data["dry_run"]:
            return Response(dropped.preview_restore(actor=actor, catalog=found, table_uuid=table))
        job = dropped.restore_table(
            actor=actor,
            catalog=found,
            table_uuid=table,
            idempotency_key=idempotency_key(request),
        )
        return Response(JobSerializer(job).data, status=status.HTTP_202_ACCEPTED)
