"""The endpoint by which a whole catalog goes back to a snapshot."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.domain import Scope
from api.permissions import RequiredScopes
from catalog.api.definitions import IDEMPOTENCY, idempotency_key, place_of
from catalog.api.history import RollbackSerializer
from catalog.api.operations import ChangeStepSerializer
from catalog.api.serializers import JobSerializer
from catalog.services import catalog_rollback


class TableBackSerializer(serializers.Serializer[Any]):
    """A table that would go back."""

    sql_name = serializers.CharField()
    rows_now = serializers.IntegerField()
    rows_then = serializers.IntegerField()


class CatalogRollbackPreviewSerializer(serializers.Serializer[Any]):
    """What taking a catalog back would do."""

    snapshot_id = serializers.IntegerField()
    steps = ChangeStepSerializer(many=True)
    tables = TableBackSerializer(many=True)
    notes = serializers.ListField(child=serializers.CharField())


class CatalogRollbackView(APIView):
    """A catalog's way back."""

    required_scopes: ClassVar[RequiredScopes] = {"POST": Scope.CATALOG_WRITE}

    @extend_schema(
        operation_id="roll_back_catalog",
        parameters=[IDEMPOTENCY],
        request=RollbackSerializer,
        responses={200: CatalogRollbackPreviewSerializer, 202: JobSerializer},
        tags=["catalog"],
    )
    def post(self, request: Request, workspace: str, catalog: str) -> Response:
        """Say what taking every table and view back would do (`dry_run`), or queue it.

        Newer tables are dropped, dropped ones come back; the rows of all tables are one snapshot,
        after those of the definitions that changed.
        """
        actor, found = place_of(request, workspace, catalog)
        given = RollbackSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        asked = given.validated_data
        if asked["dry_run"]:
            shown = catalog_rollback.preview_catalog_rollback(
                actor=actor, catalog=found, snapshot_id=asked["snapshot"]
            )
            return Response(shown.as_dict())
        job = catalog_rollback.roll_back_catalog(
            actor=actor,
            catalog=found,
            snapshot_id=asked["snapshot"],
            message=asked["message"],
            idempotency_key=idempotency_key(request),
        )
        return Response(JobSerializer(job).data, status=status.HTTP_202_ACCEPTED)
