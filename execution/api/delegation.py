"""`/queries/{id}/manifest` and `/receipt`: what a device fetches before a run and says after it."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.domain import Scope
from api.permissions import RequiredScopes, actor_of
from execution import services
from execution.api.queries import query_of
from execution.api.serializers import QuerySerializer, ReceiptSerializer

MANIFEST_CONTENT_TYPE = "application/jose"


class ManifestView(APIView):
    """The signed manifest of a delegated query."""

    required_scopes: ClassVar[RequiredScopes] = {"GET": Scope.QUERY_RUN}

    @extend_schema(
        operation_id="get_manifest",
        responses={(200, MANIFEST_CONTENT_TYPE): OpenApiTypes.STR},
        tags=["local"],
    )
    def get(self, request: Request, workspace: str, query_id: UUID) -> HttpResponse:
        """Issue the manifest to the approved device that proves itself (DPoP).

        A compact JWS; its claims are in manifest.schema.json. Each call ends the bearer of the
        call before.
        """
        query = query_of(request, workspace, query_id)
        text = services.issue_grant(actor=actor_of(request), query=query)
        return HttpResponse(
            text, content_type=MANIFEST_CONTENT_TYPE, headers={"Cache-Control": "no-store"}
        )


class ReceiptView(APIView):
    """The device's word on its run."""

    required_scopes: ClassVar[RequiredScopes] = {"POST": Scope.QUERY_RUN}

    @extend_schema(
        operation_id="accept_receipt",
        request=ReceiptSerializer,
        responses=QuerySerializer,
        tags=["local"],
    )
    def post(self, request: Request, workspace: str, query_id: UUID) -> Response:
        """Take the receipt that the device signed; sending it again changes nothing."""
        given = ReceiptSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        query = services.accept_receipt(
            actor=actor_of(request),
            query=query_of(request, workspace, query_id),
            text=given.validated_data["receipt"],
        )
        return Response(QuerySerializer(query).data)
