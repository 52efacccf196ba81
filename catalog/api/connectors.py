"""Endpoints of connectors: tables of customers' databases, pulled on a schedule."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.domain import Actor, Scope
from api.bodies import valid
from api.permissions import RequiredScopes, actor_of
from catalog.domain import ConnectorMode, ConnectorRunState
from catalog.models import Catalog, Connector, ConnectorRun
from catalog.selectors import find_catalog
from catalog.services import connectors
from workspaces.selectors import find_workspace

TAGS = ["catalog"]
MODES = [(mode.value, mode.name) for mode in ConnectorMode]
RUNS_SHOWN = 10


class ConnectorSourceSerializer(serializers.Serializer[Any]):
    """Where rows come from; the password is never shown."""

    host = serializers.CharField()
    port = serializers.IntegerField()
    dbname = serializers.CharField()
    user = serializers.CharField()
    sslmode = serializers.CharField()


class ConnectorRunSerializer(serializers.Serializer[ConnectorRun]):
    """One pull."""

    number = serializers.IntegerField()
    state = serializers.ChoiceField(choices=[(s.value, s.name) for s in ConnectorRunState])
    rows = serializers.IntegerField(allow_null=True)
    upto = serializers.CharField(allow_null=True, help_text="The watermark it reached.")
    problem = serializers.CharField()
    started_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)


class ConnectorSerializer(serializers.Serializer[Connector]):
    """A connector and its last runs."""

    name = serializers.CharField()
    source = ConnectorSourceSerializer()  # type: ignore[assignment]  # the stubs' Field.source
    source_schema = serializers.CharField()
    source_table = serializers.CharField()
    target_schema = serializers.CharField()
    target_table = serializers.CharField()
    mode = serializers.ChoiceField(choices=MODES)
    watermark_column = serializers.CharField()
    watermark = serializers.CharField(allow_null=True)
    interval_seconds = serializers.IntegerField()
    paused_at = serializers.DateTimeField(allow_null=True)
    next_run_at = serializers.DateTimeField()
    failures = serializers.IntegerField(help_text="In a row; each waits longer.")
    acts_for = serializers.SerializerMethodField(help_text="Whose rights it has.")
    runs = serializers.SerializerMethodField(help_text="The last ones, newest first.")

    def get_acts_for(self, found: Connector) -> str:
        """Return the address or name of who created it."""
        return str(found.user.email if found.user else found.service_account)

    @extend_schema_field(ConnectorRunSerializer(many=True))
    def get_runs(self, found: Connector) -> list[dict[str, Any]]:
        """Return the last runs."""
        return [dict(ConnectorRunSerializer(run).data) for run in found.runs.all()[:RUNS_SHOWN]]


class NewConnectorSerializer(serializers.Serializer[Any]):
    """A table to pull from a PostgreSQL database."""

    name = serializers.CharField(max_length=120)
    dsn = serializers.CharField(
        max_length=2000,
        write_only=True,
        help_text="postgresql://user:password@host:5432/db?sslmode=verify-full",
    )
    source_schema = serializers.CharField(max_length=63, default="public")
    source_table = serializers.CharField(max_length=63)
    target_schema = serializers.CharField(max_length=63, default="main")
    target_table = serializers.CharField(max_length=63)
    mode = serializers.ChoiceField(choices=MODES, default=ConnectorMode.APPEND.value)
    watermark_column = serializers.CharField(
        max_length=63,
        default="",
        allow_blank=True,
        help_text="A column that only grows: an identity, or the time of the last change.",
    )
    interval_seconds = serializers.IntegerField(default=3600)


class ConnectorChangeSerializer(serializers.Serializer[Any]):
    """What of a connector can be changed."""

    dsn = serializers.CharField(max_length=2000, write_only=True, required=False)
    interval_seconds = serializers.IntegerField(required=False)
    is_paused = serializers.BooleanField(required=False)


class ConnectorListSerializer(serializers.Serializer[Any]):
    """The connectors of a catalog."""

    results = ConnectorSerializer(many=True)


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
        found = connectors.visible_connectors(actor, _catalog(actor, workspace, catalog))
        return Response(ConnectorListSerializer({"results": found}).data)

    @extend_schema(
        operation_id="create_connector",
        request=NewConnectorSerializer,
        responses={201: ConnectorSerializer},
        tags=TAGS,
    )
    def post(self, request: Request, workspace: str, catalog: str) -> Response:
        """Pull a table of a PostgreSQL database from now on; the first run begins at once."""
        actor = actor_of(request)
        given = valid(NewConnectorSerializer, request)
        given["mode"] = ConnectorMode(given["mode"])
        made = connectors.create_connector(
            actor=actor, catalog=_catalog(actor, workspace, catalog), **given
        )
        return Response(ConnectorSerializer(made).data, status=status.HTTP_201_CREATED)


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
        return Response(ConnectorSerializer(found).data)

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
        return Response(ConnectorSerializer(changed).data)

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
        return Response(ConnectorSerializer(found).data, status=status.HTTP_202_ACCEPTED)


def _catalog(actor: Actor, workspace: str, catalog: str) -> Catalog:
    return find_catalog(actor, find_workspace(actor, workspace), catalog)


def _connector(actor: Actor, workspace: str, catalog: str, name: str) -> Connector:
    return connectors.find_connector(actor, _catalog(actor, workspace, catalog), name)
