"""Endpoints of catalogs and their history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.domain import Scope
from api.permissions import RequiredScopes, actor_of
from catalog import lake
from catalog import services as catalogs
from catalog.api.serializers import (
    CatalogListSerializer,
    CatalogSerializer,
    ChangeListSerializer,
    JobSerializer,
    NewCatalogSerializer,
    PageSerializer,
)
from catalog.models import Catalog
from catalog.selectors import find_catalog, visible_catalogs
from workspaces.selectors import find_workspace


class CatalogsView(APIView):
    """The catalogs of a workspace."""

    required_scopes: ClassVar[RequiredScopes] = {
        "GET": Scope.CATALOG_READ,
        "POST": Scope.CATALOG_WRITE,
    }

    @extend_schema(operation_id="list_catalogs", responses=CatalogListSerializer, tags=["catalog"])
    def get(self, request: Request, workspace: str) -> Response:
        """List the catalogs that the actor may browse, by name."""
        actor = actor_of(request)
        found = visible_catalogs(actor, find_workspace(actor, workspace))
        return Response({"results": _shown(found)})

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
        catalog = catalogs.create_catalog(
            actor=actor, workspace=find_workspace(actor, workspace), **given.validated_data
        )
        return Response(_shown([catalog])[0], status=status.HTTP_201_CREATED)


class CatalogView(APIView):
    """One catalog."""

    required_scopes: ClassVar[RequiredScopes] = {
        "GET": Scope.CATALOG_READ,
        "DELETE": Scope.CATALOG_WRITE,
    }

    @extend_schema(operation_id="get_catalog", responses=CatalogSerializer, tags=["catalog"])
    def get(self, request: Request, workspace: str, catalog: str) -> Response:
        """Return one catalog, by name or id."""
        actor = actor_of(request)
        found = find_catalog(actor, find_workspace(actor, workspace), catalog)
        return Response(_shown([found])[0])

    @extend_schema(operation_id="drop_catalog", responses={202: JobSerializer}, tags=["catalog"])
    def delete(self, request: Request, workspace: str, catalog: str) -> Response:
        """Take a catalog away at once; the job removes its files and metadata."""
        actor = actor_of(request)
        found = find_catalog(actor, find_workspace(actor, workspace), catalog)
        job = catalogs.drop_catalog(actor=actor, catalog=found)
        return Response(JobSerializer(job).data, status=status.HTTP_202_ACCEPTED)


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
        found = find_catalog(actor, find_workspace(actor, workspace), catalog)
        page = PageSerializer(data=request.query_params)
        page.is_valid(raise_exception=True)
        limit, before = page.validated_data["limit"], page.validated_data["before"]
        changes = lake.snapshots(found, limit, before)
        following = changes[-1].snapshot_id if len(changes) == limit else None
        shown = ChangeListSerializer({"results": changes, "next_before": following})
        return Response(shown.data)


def _shown(found: Sequence[Catalog]) -> list[dict[str, Any]]:
    ready = lake.ready([catalog.metadata_schema for catalog in found])
    return [dict(CatalogSerializer(one, context={"ready": ready}).data) for one in found]
