"""Endpoints of a table's history: its snapshots, what two differ in, and the way back."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.domain import Scope
from api.permissions import RequiredScopes
from catalog import lake
from catalog.api.definitions import IDEMPOTENCY, idempotency_key, place_of
from catalog.api.operations import ChangeStepSerializer
from catalog.api.serializers import (
    ChangeListSerializer,
    JobSerializer,
    PageSerializer,
    shown_moments,
)
from catalog.lake import histories
from catalog.models import SnapshotTag
from catalog.selectors import find_table
from catalog.services import snapshots
from catalog.tables import comparing
from catalog.tables.history import moments


class TableSnapshotsView(APIView):
    """The history of a table."""

    required_scopes: ClassVar[RequiredScopes] = {"GET": Scope.CATALOG_READ}

    @extend_schema(
        operation_id="list_table_snapshots",
        parameters=[PageSerializer],
        responses=ChangeListSerializer,
        tags=["catalog"],
    )
    def get(
        self, request: Request, workspace: str, catalog: str, schema: str, table: str
    ) -> Response:
        """List the snapshots that touched the table, newest first, with what each changed."""
        actor, found = place_of(request, workspace, catalog)
        page = PageSerializer(data=request.query_params)
        page.is_valid(raise_exception=True)
        newest = lake.latest_snapshot(found).snapshot_id
        one = find_table(actor, found, newest, schema, table)
        limit, before = page.validated_data["limit"], page.validated_data["before"]
        changes = histories.touching(found, one.table_id, limit, before)
        following = changes[-1].snapshot_id if len(changes) == limit else None
        shown = shown_moments(moments(actor, found, changes))
        return Response({"results": shown, "next_before": following})


class BetweenSerializer(serializers.Serializer[Any]):
    """Which two snapshots to compare."""

    first = serializers.IntegerField(min_value=0)
    last = serializers.IntegerField(min_value=0, required=False, help_text="The newest, if none.")


class SizesSerializer(serializers.Serializer[Any]):
    """How much a table holds at a snapshot."""

    rows = serializers.IntegerField()
    files = serializers.IntegerField()
    size_bytes = serializers.IntegerField()


class FileChangesSerializer(serializers.Serializer[Any]):
    """The files that are there at one of two snapshots only."""

    added = serializers.IntegerField()
    added_bytes = serializers.IntegerField()
    added_rows = serializers.IntegerField()
    removed = serializers.IntegerField()
    removed_bytes = serializers.IntegerField()
    removed_rows = serializers.IntegerField()


class DifferenceSerializer(serializers.Serializer[Any]):
    """What differs of a table between two snapshots."""

    first = serializers.IntegerField()
    last = serializers.IntegerField()
    before = SizesSerializer()
    after = SizesSerializer()
    definition = serializers.ListField(child=serializers.CharField())
    files = FileChangesSerializer()


class TableDifferenceView(APIView):
    """What two snapshots of a table differ in."""

    required_scopes: ClassVar[RequiredScopes] = {"GET": Scope.CATALOG_READ}

    @extend_schema(
        operation_id="compare_table_snapshots",
        parameters=[BetweenSerializer],
        responses=DifferenceSerializer,
        tags=["catalog"],
    )
    def get(
        self, request: Request, workspace: str, catalog: str, schema: str, table: str
    ) -> Response:
        """Say how the definition, the files and the number of rows differ."""
        actor, found = place_of(request, workspace, catalog)
        given = BetweenSerializer(data=request.query_params)
        given.is_valid(raise_exception=True)
        first, last = given.validated_data["first"], given.validated_data.get("last")
        shown = comparing.compared(actor, found, (schema, table), first, last)
        return Response(asdict(shown))


class RollbackSerializer(serializers.Serializer[Any]):
    """Where to go back to."""

    snapshot = serializers.IntegerField(min_value=0)
    dry_run = serializers.BooleanField(default=False, help_text="Only say what it would do.")
    message = serializers.CharField(default="", allow_blank=True, max_length=500)


class RollbackPreviewSerializer(serializers.Serializer[Any]):
    """What a rollback would do."""

    schema_version = serializers.IntegerField()
    snapshot_id = serializers.IntegerField()
    rows_now = serializers.IntegerField()
    rows_then = serializers.IntegerField()
    steps = ChangeStepSerializer(many=True)
    notes = serializers.ListField(child=serializers.CharField())


class TableRollbackView(APIView):
    """A table's way back."""

    required_scopes: ClassVar[RequiredScopes] = {"POST": Scope.CATALOG_WRITE}

    @extend_schema(
        operation_id="roll_back_table",
        parameters=[IDEMPOTENCY],
        request=RollbackSerializer,
        responses={200: RollbackPreviewSerializer, 202: JobSerializer},
        tags=["catalog"],
    )
    def post(
        self, request: Request, workspace: str, catalog: str, schema: str, table: str
    ) -> Response:
        """Say what taking the table back would do (`dry_run`), or queue it as a new snapshot."""
        actor, found = place_of(request, workspace, catalog)
        given = RollbackSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        asked = given.validated_data
        if asked["dry_run"]:
            shown = snapshots.preview_rollback(
                actor=actor,
                catalog=found,
                schema=schema,
                table=table,
                snapshot_id=asked["snapshot"],
            )
            return Response(shown.as_dict())
        job = snapshots.roll_back_table(
            actor=actor,
            catalog=found,
            schema=schema,
            table=table,
            snapshot_id=asked["snapshot"],
            message=asked["message"],
            idempotency_key=idempotency_key(request),
        )
        return Response(JobSerializer(job).data, status=status.HTTP_202_ACCEPTED)


class SnapshotTagSerializer(serializers.Serializer[SnapshotTag]):
    """A name of a snapshot; while it bears one, maintenance keeps it."""

    name = serializers.CharField(read_only=True)
    snapshot_id = serializers.IntegerField(min_value=0)
    snapshot_time = serializers.DateTimeField(read_only=True)
    note = serializers.CharField(default="", allow_blank=True, max_length=500)


class SnapshotTagListSerializer(serializers.Serializer[Any]):
    """The tags of a catalog's snapshots, by name."""

    results = SnapshotTagSerializer(many=True)


class SnapshotTagsView(APIView):
    """The tags of a catalog's snapshots."""

    required_scopes: ClassVar[RequiredScopes] = {"GET": Scope.CATALOG_READ}

    @extend_schema(
        operation_id="list_snapshot_tags", responses=SnapshotTagListSerializer, tags=["catalog"]
    )
    def get(self, request: Request, workspace: str, catalog: str) -> Response:
        """List the tags, by name."""
        _, found = place_of(request, workspace, catalog)
        tags = SnapshotTag.objects.filter(catalog=found)
        return Response(SnapshotTagListSerializer({"results": tags}).data)


class SnapshotTagView(APIView):
    """One tag of a snapshot."""

    required_scopes: ClassVar[RequiredScopes] = {
        "PUT": Scope.CATALOG_WRITE,
        "DELETE": Scope.CATALOG_WRITE,
    }

    @extend_schema(
        operation_id="tag_snapshot",
        request=SnapshotTagSerializer,
        responses=SnapshotTagSerializer,
        tags=["catalog"],
    )
    def put(self, request: Request, workspace: str, catalog: str, tag: str) -> Response:
        """Name a snapshot, or move the name to another one."""
        actor, found = place_of(request, workspace, catalog)
        given = SnapshotTagSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        kept = snapshots.tag_snapshot(actor=actor, catalog=found, name=tag, **given.validated_data)
        return Response(SnapshotTagSerializer(kept).data)

    @extend_schema(operation_id="untag_snapshot", responses={204: None}, tags=["catalog"])
    def delete(self, request: Request, workspace: str, catalog: str, tag: str) -> Response:
        """Take the name away: maintenance may expire the snapshot."""
        actor, found = place_of(request, workspace, catalog)
        snapshots.untag_snapshot(actor=actor, catalog=found, name=tag)
        return Response(status=status.HTTP_204_NO_CONTENT)
