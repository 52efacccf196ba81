"""Endpoints of catalogs and their history."""

from __future__ import annotations

from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.domain import Scope
from api.permissions import RequiredScopes, actor_of
from catalog import lake
from catalog import services as catalogs
from catalog.api.lifecycle import DroppedCatalogSerializer
from catalog.api.naming import named_catalog
from catalog.api.serializers import (
    CatalogListingSerializer,
    CatalogListSerializer,
    CatalogSerializer,
    ChangedCatalogSerializer,
    ChangeListSerializer,
    NewCatalogSerializer,
    PageSerializer,
    shown_catalogs,
    shown_moments,
)
from catalog.selectors import find_bucket, visible_catalogs
from catalog.tables.history import moments
from workspaces.selectors import find_workspace


class CatalogsView(APIView):
    """The catalogs of a workspace."""

    required_scopes: ClassVar[RequiredScopes] = {
        "GET": Scope.CATALOG_READ,
        "POST": Scope.CATALOG_WRITE,
    }

    @extend_schema(
        operation_id="list_catalogs",
        parameters=[CatalogListingSerializer],
        responses=CatalogListSerializer,
        tags=["catalog"],
    )
    def get(self, request: Request, workspace: str) -> Response:
        """List the catalogs that the actor may browse, by name."""
        actor = actor_of(request)
        asked = CatalogListingSerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        found = visible_catalogs(
            actor,
            find_workspace(actor, workspace),
            with_archived=asked.validated_data["archived"],
        )
        return Response({"results": shown_catalogs(found)})

    @extend_schema(
        operation_id="create_catalog",
        request=NewCatalogSerializer,
        responses={201: CatalogSerializer},
        tags=["catalog"],
    )
    def post(self, request: Request, workspace: str) -> Response:
        """Create an empty catalog; it is ready when its first job is done."""
        actor = actor_of(request)
        given = NewCatalogSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        place, asked = find_workspace(actor, workspace), dict(given.validated_data)
        named = asked.pop("bucket")
        bucket = find_bucket(actor, place, named) if named else None
        catalog = catalogs.create_catalog(actor=actor, workspace=place, bucket=bucket, **asked)
        return Response(shown_catalogs([catalog])[0], status=status.HTTP_201_CREATED)


class CatalogView(APIView):
    """One catalog."""

    required_scopes: ClassVar[RequiredScopes] = {
        "GET": Scope.CATALOG_READ,
        "PATCH": Scope.CATALOG_WRITE,
        "DELETE": Scope.CATALOG_WRITE,
    }

    @extend_schema(operation_id="get_catalog", responses=CatalogSerializer, tags=["catalog"])
    def get(self, request: Request, workspace: str, catalog: str) -> Response:
        """Return one catalog, by name or id."""
        actor = actor_of(request)
        found = named_catalog(actor, workspace, catalog)
        return Response(shown_catalogs([found])[0])

    @extend_schema(
        operation_id="change_catalog",
        request=ChangedCatalogSerializer,
        responses=CatalogSerializer,
        tags=["catalog"],
    )
    def patch(self, request: Request, workspace: str, catalog: str) -> Response:
        """Rename or describe a catalog; grants, policies and history follow it."""
        actor = actor_of(request)
        found = named_catalog(actor, workspace, catalog)
        given = ChangedCatalogSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        changed = catalogs.change_catalog(actor=actor, catalog=found, **given.validated_data)
        return Response(shown_catalogs([changed])[0])

    @extend_schema(
        operation_id="drop_catalog", responses={200: DroppedCatalogSerializer}, tags=["catalog"]
    )
    def delete(self, request: Request, workspace: str, catalog: str) -> Response:
        """Take a catalog away at once; until `remove_after` it can be restored."""
        actor = actor_of(request)
        found = named_catalog(actor, workspace, catalog)
        dropped = catalogs.drop_catalog(actor=actor, catalog=found)
        return Response(DroppedCatalogSerializer(dropped).data)


class SnapshotsView(APIView):
    """The history of a catalog."""

    required_scopes: ClassVar[RequiredScopes] = {"GET": Scope.CATALOG_READ}

    @extend_schema(
        operation_id="list_snapshots",
        parameters=[PageSerializer],
        responses=ChangeListSerializer,
        tags=["catalog"],
    )
    def get(self, request: Request, workspace: str, catalog: str) -> Response:
        """List snapshots, newest first."""
        actor = actor_of(request)
        found = named_catalog(actor, workspace, catalog)
        page = PageSerializer(data=request.query_params)
        page.is_valid(raise_exception=True)
        limit, before = page.validated_data["limit"], page.validated_data["before"]
        changes = lake.snapshots(found, limit, before)
        following = changes[-1].snapshot_id if len(changes) == limit else None
        shown = shown_moments(moments(actor, found, changes))
        return Response({"results": shown, "next_before": following})
