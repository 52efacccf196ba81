"""`/queries/{id}/result`: pages as JSON, whole files by redirect to the bucket."""

from __future__ import annotations

import time
from typing import ClassVar
from uuid import UUID

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.domain import Scope
from api.permissions import RequiredScopes, actor_of
from execution import services
from execution.api.queries import query_of
from execution.api.serializers import ResultPageSerializer, ResultParametersSerializer
from execution.domain import ResultFormat
from execution.models import Query

PATIENCE_SECONDS = 1.0
PAUSE_SECONDS = 0.1
RETRY_AFTER_SECONDS = 1


class ResultView(APIView):
    """The rows of a query."""

    required_scopes: ClassVar[RequiredScopes] = {"GET": Scope.QUERY_RUN}

    @extend_schema(
        operation_id="read_result",
        parameters=[ResultParametersSerializer],
        responses={
            200: ResultPageSerializer,
            202: OpenApiResponse(description="The format is being written: see Retry-After."),
            307: OpenApiResponse(
                description="To the file in the bucket, readable for a minute. The header"
                " Upend-Truncated says whether rows were left off at the workspace's limit."
            ),
            410: OpenApiResponse(description="The result has expired."),
        },
        tags=["queries"],
    )
    def get(self, request: Request, workspace: str, query_id: UUID) -> Response:
        """Return a page of rows as JSON, or lead to the whole as Arrow, Parquet or CSV.

        DECIMAL, HUGEINT and integers beyond 2^53 are strings, as are NaN and the infinities.
        """
        given = ResultParametersSerializer(data=request.query_params)
        given.is_valid(raise_exception=True)
        query = query_of(request, workspace, query_id)
        form = ResultFormat(given.validated_data["format"])
        if form is not ResultFormat.JSON:
            return self._whole(request, query, form)
        page = services.read_page(
            actor=actor_of(request),
            query=query,
            offset=given.validated_data["offset"],
            limit=given.validated_data["limit"],
        )
        return Response(page.as_dict())

    def _whole(self, request: Request, query: Query, form: ResultFormat) -> Response:
        """Redirect to the file; a conversion that is quick is waited for."""
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            url = services.locate(actor=actor_of(request), query=query, form=form)
            if url is not None:
                return Response(
                    status=status.HTTP_307_TEMPORARY_REDIRECT,
                    headers={
                        "Location": url,
                        "Cache-Control": "no-store",
                        "Upend-Truncated": str(query.truncated).lower(),
                    },
                )
            if time.monotonic() > until:
                return Response(
                    {"detail": f"The result is being written as {form}."},
                    status=status.HTTP_202_ACCEPTED,
                    headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
                )
            time.sleep(PAUSE_SECONDS)
