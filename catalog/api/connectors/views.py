"""Endpoints of connectors: tables of databases and files of buckets, pulled on a schedule."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.domain import Actor, Scope
from api.bodies import valid
from api.permissions import RequiredScopes, actor_of
from catalog.api.connectors.serializers import (
    ConnectorChangeSerializer,
    ConnectorListSerializer,
    ConnectorSerializer,
    NewConnectorSerializer,
    SourceLookSerializer,
    SourceSerializer,
    bodies,
)
from catalog.api.naming import named_catalog
from catalog.connectors.sources import GivenSource
from catalog.domain import ConnectorKind, ConnectorMode
from catalog.models import Catalog, Connector
from catalog.selectors import find_bucket
from catalog.services import connector_checks, connectors

TAGS = ["catalog"]


class ConnectorsView(APIView):
    """The connectors of a catalog."""

    required_scopes: ClassVar[RequiredScopes] = {
        "GET": Scope.CATALOG_READ,
        "POST": Scope.CATALOG_WRITE,
    }

    @extend_schema(operation_id="list_connectors", responses=ConnectorListSerializer, tags=TAGS)
    def get(self, request: Request, workspace: str, catalog: str) -> Response:
        """List what is pulled into the catalog, for who manages it."""
        actor = actor_of(request)
        found = connectors.visible_connectors(actor, named_catalog(actor, workspace, catalog))
        return Response({"results": bodies(found)})

    @extend_schema(
        operation_id="create_connector",
        request=NewConnectorSerializer,
        responses={201: ConnectorSerializer},
        tags=TAGS,
    )
    def post(self, request: Request, workspace: str, catalog: str) -> Response:
        """Pull a table or the files of a bucket from now on; the first run begins at once."""
        actor = actor_of(request)
        given = valid(NewConnectorSerializer, request)
        found = named_catalog(actor, workspace, catalog)
        made = connectors.create_connector(
            actor=actor,
            catalog=found,
            name=given["name"],
            source=_source(actor, found, given),
            target_schema=given["target_schema"],
            target_table=given["target_table"],
            interval_seconds=given["interval_seconds"],
        )
        return Response(bodies([made])[0], status=status.HTTP_201_CREATED)


class ConnectorView(APIView):
    """One connector."""

    required_scopes: ClassVar[RequiredScopes] = {
        "GET": Scope.CATALOG_READ,
        "PATCH": Scope.CATALOG_WRITE,
        "DELETE": Scope.CATALOG_WRITE,
    }

    @extend_schema(operation_id="get_connector", responses=ConnectorSerializer, tags=TAGS)
    def get(self, request: Request, workspace: str, catalog: str, connector: str) -> Response:
        """Return a connector with its last runs."""
        found = _connector(actor_of(request), workspace, catalog, connector)
        return Response(bodies([found])[0])

    @extend_schema(
        operation_id="change_connector",
        request=ConnectorChangeSerializer,
        responses=ConnectorSerializer,
        tags=TAGS,
    )
    def patch(self, request: Request, workspace: str, catalog: str, connector: str) -> Response:
        """Change how often it runs, pause or resume it, or give it another password."""
        actor = actor_of(request)
        given = valid(ConnectorChangeSerializer, request)
        found = _connector(actor, workspace, catalog, connector)
        changed = connectors.change_connector(actor=actor, connector=found, **given)
        return Response(bodies([changed])[0])

    @extend_schema(operation_id="delete_connector", responses={204: None}, tags=TAGS)
    def delete(self, request: Request, workspace: str, catalog: str, connector: str) -> Response:
        """Delete a connector; the table and its rows stay."""
        actor = actor_of(request)
        found = _connector(actor, workspace, catalog, connector)
        connectors.delete_connector(actor=actor, connector=found)
        return Response(status=status.HTTP_204_NO_CONTENT)


class RunConnectorView(APIView):
    """Running a connector now."""

    required_scopes: ClassVar[RequiredScopes] = {"POST": Scope.CATALOG_WRITE}

    @extend_schema(
        operation_id="run_connector",
        request=None,
        responses={202: ConnectorSerializer},
        tags=TAGS,
    )
    def post(self, request: Request, workspace: str, catalog: str, connector: str) -> Response:
        """Have it run without waiting for its time."""
        actor = actor_of(request)
        found = _connector(actor, workspace, catalog, connector)
        connectors.run_connector(actor=actor, connector=found)
        return Response(bodies([found])[0], status=status.HTTP_202_ACCEPTED)


class CheckSourceView(APIView):
    """Trying a source before a connector is made of it."""

    required_scopes: ClassVar[RequiredScopes] = {"POST": Scope.CATALOG_WRITE}

    @extend_schema(
        operation_id="check_connector_source",
        request=SourceSerializer,
        responses=SourceLookSerializer,
        tags=TAGS,
    )
    def post(self, request: Request, workspace: str, catalog: str) -> Response:
        """Reach a source and say which columns it has; nothing is kept."""
        actor = actor_of(request)
        found = named_catalog(actor, workspace, catalog)
        source = _source(actor, found, valid(SourceSerializer, request))
        look = connector_checks.check_source(actor=actor, catalog=found, source=source)
        columns = [{"name": name, "type": kind} for name, kind in look.columns]
        told = {"columns": columns, "files": look.files, "size_bytes": look.size_bytes}
        return Response(SourceLookSerializer(told).data)


def _source(actor: Actor, catalog: Catalog, given: dict[str, Any]) -> GivenSource:
    """Return the source that a body names."""
    named = given["bucket"]
    return GivenSource(
        kind=ConnectorKind(given["kind"]),
        dsn=given["dsn"],
        bucket=find_bucket(actor, catalog.workspace, named) if named else None,
        path=given["path"],
        schema=given["source_schema"],
        table=given["source_table"],
        watermark_column=given["watermark_column"],
        mode=ConnectorMode(given["mode"]),
    )


def _connector(actor: Actor, workspace: str, catalog: str, name: str) -> Connector:
    return connectors.find_connector(actor, named_catalog(actor, workspace, catalog), name)
