"""Endpoints of what happens to a catalog after it was made."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.domain import Scope
from api.permissions import RequiredScopes, actor_of
from catalog import services as catalogs
from catalog.api.naming import named_catalog
from catalog.api.serializers import CatalogSerializer, shown_catalogs
from catalog.models import Catalog
from catalog.selectors import dropped_catalogs, find_dropped_catalog
from workspaces.selectors import find_workspace


class DroppedCatalogSerializer(serializers.Serializer[Catalog]):
    """A dropped catalog; until `remove_after` it can be restored."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    description = serializers.CharField()
    dropped_at = serializers.DateTimeField()
    remove_after = serializers.DateTimeField()


class DroppedCatalogListSerializer(serializers.Serializer[Any]):
    """What can be restored, the first to go first."""

    results = DroppedCatalogSerializer(many=True)


class RestoredCatalogSerializer(serializers.Serializer[Any]):
    """How to take a catalog back."""

    name = serializers.CharField(
        max_length=200, default="", help_text="Another name, where its own is taken by now."
    )


class CatalogArchiveView(APIView):
    """Whether a catalog is put away."""

    required_scopes: ClassVar[RequiredScopes] = {
        "PUT": Scope.CATALOG_WRITE,
        "DELETE": Scope.CATALOG_WRITE,
    }

    @extend_schema(
        operation_id="archive_catalog", request=None, responses=CatalogSerializer, tags=["catalog"]
    )
    def put(self, request: Request, workspace: str, catalog: str) -> Response:
        """Put a catalog away: it is read as before, written no more, and left out of lists."""
        return self._set(request, workspace, catalog, archived=True)

    @extend_schema(
        operation_id="unarchive_catalog",
        request=None,
        responses={200: CatalogSerializer},
        tags=["catalog"],
    )
    def delete(self, request: Request, workspace: str, catalog: str) -> Response:
        """Take a catalog out of the archive."""
        return self._set(request, workspace, catalog, archived=False)

    def _set(self, request: Request, workspace: str, name: str, *, archived: bool) -> Response:
        actor = actor_of(request)
        found = named_catalog(actor, workspace, name)
        changed = catalogs.archive_catalog(actor=actor, catalog=found, archived=archived)
        return Response(shown_catalogs([changed])[0])


class DroppedCatalogsView(APIView):
    """What was dropped and is not gone yet."""

    required_scopes: ClassVar[RequiredScopes] = {"GET": Scope.CATALOG_READ}

    @extend_schema(
        operation_id="list_dropped_catalogs",
        responses=DroppedCatalogListSerializer,
        tags=["catalog"],
    )
    def get(self, request: Request, workspace: str) -> Response:
        """List the dropped catalogs that the actor may restore."""
        actor = actor_of(request)
        found = dropped_catalogs(actor, find_workspace(actor, workspace))
        return Response(DroppedCatalogListSerializer({"results": found}).data)


class RestoreCatalogView(APIView):
    """The way back of one dropped catalog."""

    required_scopes: ClassVar[RequiredScopes] = {"POST": Scope.CATALOG_WRITE}

    @extend_schema(
        operation_id="restore_catalog",
        request=RestoredCatalogSerializer,
        responses=CatalogSerializer,
        tags=["catalog"],
    )
    def post(self, request: Request, workspace: str, catalog: str) -> Response:
        """Take a dropped catalog back as it was, by id, or by name the one dropped last."""
        actor = actor_of(request)
        found = find_dropped_catalog(actor, find_workspace(actor, workspace), catalog)
        given = RestoredCatalogSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        restored = catalogs.restore_catalog(actor=actor, catalog=found, **given.validated_data)
        return Response(shown_catalogs([restored])[0])
