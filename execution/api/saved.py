"""`/saved-queries`: named queries that a workspace shares."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import generics, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.domain import Scope
from api.pagination import CursorPagination
from api.permissions import RequiredScopes, actor_of
from execution import selectors, services
from execution.api.serializers import SavedQuerySerializer
from execution.models import SavedQuery
from workspaces.selectors import find_workspace


class ByName(CursorPagination):
    """Saved queries are read by name."""

    ordering = "name"


class SavedQueriesView(generics.ListAPIView[SavedQuery]):
    """The workspace's saved queries."""

    serializer_class = SavedQuerySerializer
    pagination_class = ByName
    required_scopes: ClassVar[RequiredScopes] = {"GET": Scope.QUERY_RUN, "POST": Scope.QUERY_RUN}

    def get_queryset(self) -> QuerySet[SavedQuery]:
        """Return what the workspace shares."""
        actor = actor_of(self.request)
        return selectors.saved_queries_of(actor, find_workspace(actor, self.kwargs["workspace"]))

    @extend_schema(operation_id="list_saved_queries", tags=["saved queries"])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """List saved queries by name."""
        return super().get(request, *args, **kwargs)

    @extend_schema(
        operation_id="save_query",
        request=SavedQuerySerializer,
        responses={201: SavedQuerySerializer},
        tags=["saved queries"],
    )
    def post(self, request: Request, workspace: str) -> Response:
        """Keep a query under a name."""
        actor = actor_of(request)
        where = find_workspace(actor, workspace)
        given = SavedQuerySerializer(data=request.data)
        given.is_valid(raise_exception=True)
        saved = services.save_query(actor=actor, workspace=where, **given.validated_data)
        return Response(SavedQuerySerializer(saved).data, status=status.HTTP_201_CREATED)


class SavedQueryView(APIView):
    """One saved query."""

    required_scopes: ClassVar[RequiredScopes] = {
        "GET": Scope.QUERY_RUN,
        "PATCH": Scope.QUERY_RUN,
        "DELETE": Scope.QUERY_RUN,
    }

    @extend_schema(
        operation_id="get_saved_query", responses=SavedQuerySerializer, tags=["saved queries"]
    )
    def get(self, request: Request, workspace: str, saved_id: UUID) -> Response:
        """Return a saved query."""
        return Response(SavedQuerySerializer(saved_of(request, workspace, saved_id)).data)

    @extend_schema(
        operation_id="change_saved_query",
        request=SavedQuerySerializer,
        responses=SavedQuerySerializer,
        tags=["saved queries"],
    )
    def patch(self, request: Request, workspace: str, saved_id: UUID) -> Response:
        """Change its name, description or text."""
        saved = saved_of(request, workspace, saved_id)
        given = SavedQuerySerializer(data=request.data, partial=True)
        given.is_valid(raise_exception=True)
        saved = services.change_saved_query(
            actor=actor_of(request), saved=saved, **given.validated_data
        )
        return Response(SavedQuerySerializer(saved).data)

    @extend_schema(operation_id="delete_saved_query", responses={204: None}, tags=["saved queries"])
    def delete(self, request: Request, workspace: str, saved_id: UUID) -> Response:
        """Remove it."""
        saved = saved_of(request, workspace, saved_id)
        services.delete_saved_query(actor=actor_of(request), saved=saved)
        return Response(status=status.HTTP_204_NO_CONTENT)


def saved_of(request: Request, workspace: str, saved_id: UUID) -> SavedQuery:
    """Return the saved query that an address names to the actor. Raises `NotFound`."""
    actor = actor_of(request)
    return selectors.find_saved_query(actor, find_workspace(actor, workspace), saved_id)
