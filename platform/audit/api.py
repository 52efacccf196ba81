"""`/api/v1/events` and `/api/v1/workspaces/{w}/events`: the ledger, for those who may read it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts.domain import Scope
from api.pagination import CursorPagination
from api.permissions import RequiredScopes, actor_of
from audit import export
from audit.filters import LedgerFilter, find_records
from audit.models import AuditRecord
from workspaces.selectors import find_workspace

SCOPES: RequiredScopes = {"GET": Scope.AUDIT_READ}


class EventSerializer(serializers.Serializer[AuditRecord]):
    """One thing that happened."""

    id = serializers.IntegerField()
    recorded_at = serializers.DateTimeField()
    event = serializers.CharField()
    actor_kind = serializers.CharField()
    actor_id = serializers.UUIDField()
    actor_label = serializers.CharField()
    device_id = serializers.UUIDField(allow_null=True)
    token_id = serializers.UUIDField(allow_null=True)
    workspace_id = serializers.UUIDField(allow_null=True)
    target_kind = serializers.CharField()
    target_id = serializers.CharField()
    target_label = serializers.CharField()
    before = serializers.JSONField(allow_null=True)
    after = serializers.JSONField(allow_null=True)
    decision = serializers.JSONField(allow_null=True)
    request_id = serializers.CharField()
    address = serializers.CharField()


class QuestionSerializer(serializers.Serializer[Any]):
    """The query parameters that narrow a list or an export."""

    event = serializers.CharField(
        required=False, default="", help_text="An event, or its noun: `device`."
    )
    actor = serializers.CharField(required=False, default="", help_text="An id or a label.")
    target = serializers.CharField(
        required=False, default="", help_text="An id, a label or a kind: `device`."
    )
    since = serializers.DateTimeField(required=False, default=None, help_text="Inclusive.")
    until = serializers.DateTimeField(required=False, default=None, help_text="Exclusive.")


class ExportSerializer(QuestionSerializer):
    """The query parameters of an export."""

    format = serializers.ChoiceField(choices=["csv", "ndjson"], default="ndjson")


class NewestFirst(CursorPagination):
    """The ledger's own order."""

    ordering = "-id"


def question_of(request: Request, workspace: str | None) -> LedgerFilter:
    """Return what the request asks of the ledger. Raises `NotFound` for a workspace not seen."""
    given = QuestionSerializer(data=request.query_params)
    given.is_valid(raise_exception=True)
    question = LedgerFilter(**given.validated_data)
    if workspace is None:
        return question
    return replace(question, workspace_id=find_workspace(actor_of(request), workspace).id)


class EventsList(generics.ListAPIView[AuditRecord]):
    """Events, newest first."""

    serializer_class = EventSerializer
    pagination_class = NewestFirst
    required_scopes: ClassVar[RequiredScopes] = SCOPES

    def get_queryset(self) -> QuerySet[AuditRecord]:
        """Return the records asked for, of those the actor may read."""
        question = question_of(self.request, self.kwargs.get("workspace"))
        return find_records(actor_of(self.request), question)


@extend_schema_view(
    get=extend_schema(
        operation_id="list_workspace_events", parameters=[QuestionSerializer], tags=["audit"]
    )
)
class WorkspaceEventsView(EventsList):
    """The events of one workspace."""


@extend_schema_view(
    get=extend_schema(operation_id="list_events", parameters=[QuestionSerializer], tags=["audit"])
)
class EventsView(EventsList):
    """The events of the whole organization, those outside any workspace included."""


class EventsExport(APIView):
    """Events as a file."""

    required_scopes: ClassVar[RequiredScopes] = SCOPES

    def send(self, request: Request, workspace: str | None) -> StreamingHttpResponse:
        """Return the stream, after recording who took it."""
        given = ExportSerializer(data=request.query_params)
        given.is_valid(raise_exception=True)
        media = given.validated_data["format"]
        question = question_of(request, workspace)
        rows = export.start_export(actor=actor_of(request), question=question, media=media)
        lines = export.as_csv(rows) if media == "csv" else export.as_ndjson(rows)
        content_type = "text/csv; charset=utf-8" if media == "csv" else "application/x-ndjson"
        response = StreamingHttpResponse(lines, content_type=content_type)
        response["Content-Disposition"] = f'attachment; filename="events.{media}"'
        return response


class WorkspaceEventsExportView(EventsExport):
    """The events of one workspace as a file."""

    @extend_schema(
        operation_id="export_workspace_events",
        parameters=[ExportSerializer],
        responses={
            (200, "application/x-ndjson"): OpenApiTypes.STR,
            (200, "text/csv"): OpenApiTypes.STR,
        },
        tags=["audit"],
    )
    def get(self, request: Request, workspace: str) -> StreamingHttpResponse:
        """Stream the workspace's events as CSV or NDJSON; the export itself is recorded."""
        return self.send(request, workspace)


class EventsExportView(EventsExport):
    """The events of the whole organization as a file."""

    @extend_schema(
        operation_id="export_events",
        parameters=[ExportSerializer],
        responses={
            (200, "application/x-ndjson"): OpenApiTypes.STR,
            (200, "text/csv"): OpenApiTypes.STR,
        },
        tags=["audit"],
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        """Stream the organization's events as CSV or NDJSON; the export itself is recorded."""
        return self.send(request, None)
