"""The endpoint that profiles a table."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.domain import Scope
from api.permissions import RequiredScopes, actor_of
from catalog.api.naming import named_catalog
from execution import selectors
from execution.api.preferences import PREFER, wait_if_preferred
from execution.api.queries import result_of
from execution.api.serializers import QuerySerializer
from execution.services.profiles import profile_table


class ProfileRequestSerializer(serializers.Serializer[Any]):
    """What to profile."""

    column = serializers.CharField(
        default="", allow_blank=True, max_length=200, help_text="All of them, briefly, if empty."
    )
    snapshot = serializers.IntegerField(
        required=False, allow_null=True, default=None, min_value=0, help_text="The newest, if none."
    )


class TableProfileView(APIView):
    """What a table holds."""

    required_scopes: ClassVar[RequiredScopes] = {"POST": Scope.QUERY_RUN}

    @extend_schema(
        operation_id="profile_table",
        request=ProfileRequestSerializer,
        parameters=[PREFER],
        responses={201: QuerySerializer},
        tags=["catalog"],
    )
    def post(
        self, request: Request, workspace: str, catalog: str, schema: str, table: str
    ) -> Response:
        """Submit the query that says what each column holds, or one column in detail.

        It is a query like any other: masks and row filters apply, and its answer is reused by
        all with the same rights. Of one column, its rows are (kind, label, value, place): facts,
        top values with their counts, and the bins of a histogram.
        """
        actor = actor_of(request)
        found = named_catalog(actor, workspace, catalog)
        given = ProfileRequestSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        asked = given.validated_data
        submission = profile_table(
            actor=actor,
            catalog=found,
            schema=schema,
            table=table,
            column=asked["column"],
            snapshot_id=asked["snapshot"],
        )
        query = submission.query
        headers = wait_if_preferred(request, query)
        if headers.get("Preference-Applied"):
            query = selectors.look_again(actor, query)
        context = {"notice": submission.notice} | result_of(request, query)
        document = QuerySerializer(query, context=context).data
        return Response(document, status=status.HTTP_201_CREATED, headers=headers)
