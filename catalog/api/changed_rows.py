"""Endpoints of a sample of the rows that changed between two snapshots."""

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
from catalog.api.definitions import place_of
from catalog.api.serializers import JobSerializer
from catalog.domain import JobState
from catalog.services import changed_rows


class SampleAskedSerializer(serializers.Serializer[Any]):
    """Between which snapshots, and how many rows at most."""

    first = serializers.IntegerField(min_value=0)
    last = serializers.IntegerField(min_value=0, required=False, help_text="The newest, if none.")
    limit = serializers.IntegerField(
        min_value=1, max_value=changed_rows.MOST_ROWS, default=50, help_text="Rows at most."
    )


class ChangedRowSerializer(serializers.Serializer[Any]):
    """One row as it was before or after a change; an update is two of them."""

    snapshot_id = serializers.IntegerField()
    change = serializers.CharField(help_text="insert, delete, update_preimage, update_postimage.")
    values = serializers.ListField(child=serializers.CharField(allow_null=True))


class ChangedRowsSerializer(serializers.Serializer[Any]):
    """Some of the rows that changed; values are text, cut after 200 characters."""

    first = serializers.IntegerField()
    last = serializers.IntegerField()
    columns = serializers.ListField(child=serializers.CharField())
    rows = ChangedRowSerializer(many=True)
    is_cut = serializers.BooleanField(help_text="More rows changed than are told.")


class ChangedRowsView(APIView):
    """Asking for a sample of changed rows."""

    required_scopes: ClassVar[RequiredScopes] = {"POST": Scope.QUERY_RUN}

    @extend_schema(
        operation_id="sample_changed_rows",
        request=SampleAskedSerializer,
        responses={202: JobSerializer},
        tags=["catalog"],
    )
    def post(
        self, request: Request, workspace: str, catalog: str, schema: str, table: str
    ) -> Response:
        """Queue the reading of some rows that changed, for who sees all of the table.

        Refused where policies mask, filter or hide anything: the change feed knows none.
        """
        actor, found = place_of(request, workspace, catalog)
        given = SampleAskedSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        job = changed_rows.sample_changed_rows(
            actor=actor, catalog=found, schema=schema, table=table, **given.validated_data
        )
        return Response(JobSerializer(job).data, status=status.HTTP_202_ACCEPTED)


class ChangedRowsOfView(APIView):
    """The rows of such a sample."""

    required_scopes: ClassVar[RequiredScopes] = {"GET": Scope.QUERY_RUN}

    @extend_schema(
        operation_id="get_changed_rows",
        responses={200: ChangedRowsSerializer, 202: JobSerializer},
        tags=["catalog"],
    )
    def get(self, request: Request, workspace: str, catalog: str, job: UUID) -> Response:
        """Return the rows that one asked for, or (202) the job that reads them."""
        actor, place = place_of(request, workspace, catalog)
        found = changed_rows.changed_rows_of(actor=actor, catalog=place, job_id=job)
        if found.state != JobState.SUCCEEDED or found.kept is None:
            return Response(JobSerializer(found).data, status=status.HTTP_202_ACCEPTED)
        rows = [
            {"snapshot_id": snapshot, "change": change, "values": values}
            for snapshot, change, *values in found.kept["rows"]
        ]
        span = {name: found.arguments[name] for name in ("first", "last")}
        return Response(found.kept | span | {"rows": rows})
