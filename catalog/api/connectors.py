"""Endpoints of connectors: tables of databases and files of buckets, pulled on a schedule."""

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
from catalog.connectors import kept
from catalog.connectors.sources import GivenSource
from catalog.domain import (
    ConnectorFileState,
    ConnectorKind,
    ConnectorMode,
    ConnectorRunState,
)
from catalog.models import Catalog, Connector, ConnectorFile, ConnectorRun
from catalog.selectors import find_bucket, find_catalog
from catalog.services import connector_checks, connectors
from workspaces.selectors import find_workspace

TAGS = ["catalog"]
KINDS = [(kind.value, kind.name) for kind in ConnectorKind]
MODES = [(mode.value, mode.name) for mode in ConnectorMode]
RUNS_SHOWN = 10


class ConnectorSourceSerializer(serializers.Serializer[Any]):
    """Where rows come from: a database, whose password is never shown, or a path in a bucket."""

    host = serializers.CharField(required=False)
    port = serializers.IntegerField(required=False)
    dbname = serializers.CharField(required=False)
    user = serializers.CharField(required=False)
    sslmode = serializers.CharField(required=False)
    bucket = serializers.CharField(required=False)
    path = serializers.CharField(required=False)


class ConnectorRunSerializer(serializers.Serializer[ConnectorRun]):
    """One pull."""

    number = serializers.IntegerField()
    state = serializers.ChoiceField(choices=[(s.value, s.name) for s in ConnectorRunState])
    rows = serializers.IntegerField(allow_null=True)
    upto = serializers.CharField(allow_null=True, help_text="The watermark it reached.")
    problem = serializers.CharField(
        help_text="Why it failed; of one that succeeded, which files were left out."
    )
    started_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)


class ConnectorFileSerializer(serializers.Serializer[ConnectorFile]):
    """An object with which something is wrong."""

    key = serializers.CharField()
    state = serializers.ChoiceField(choices=[(s.value, s.name) for s in ConnectorFileState])
    problem = serializers.CharField()


class ConnectorSerializer(serializers.Serializer[Connector]):
    """A connector and its last runs."""

    name = serializers.CharField()
    kind = serializers.ChoiceField(choices=KINDS)
    source = ConnectorSourceSerializer(source="shown_source")  # type: ignore[assignment]  # the stubs' Field.source
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
    files = serializers.SerializerMethodField(
        help_text="Those with which something is wrong; `:run` tries them once more."
    )

    def get_acts_for(self, found: Connector) -> str:
        """Return the address or name of who created it."""
        return str(found.user.email if found.user else found.service_account)

    @extend_schema_field(ConnectorRunSerializer(many=True))
    def get_runs(self, found: Connector) -> list[dict[str, Any]]:
        """Return the last runs."""
        return [dict(ConnectorRunSerializer(run).data) for run in found.runs.all()[:RUNS_SHOWN]]

    @extend_schema_field(ConnectorFileSerializer(many=True))
    def get_files(self, found: Connector) -> list[dict[str, Any]]:
        """Return the files that are not as they should be."""
        return [dict(ConnectorFileSerializer(one).data) for one in kept.troubled(found)]


class ConnectorChangeSerializer(serializers.Serializer[Any]):
    """What of a connector can be changed."""

    dsn = serializers.CharField(max_length=2000, write_only=True, required=False)
    interval_seconds = serializers.IntegerField(required=False)
    is_paused = serializers.BooleanField(required=False)


class SourceColumnSerializer(serializers.Serializer[Any]):
    """A column of a source, with the type that the source gives it."""

    name = serializers.CharField()
    type = serializers.CharField()


class SourceLookSerializer(serializers.Serializer[Any]):
    """What a source holds."""

    columns = SourceColumnSerializer(many=True)
    files = serializers.IntegerField(allow_null=True, help_text="How many fit; null of databases.")
    size_bytes = serializers.IntegerField(allow_null=True)


class SourceSerializer(serializers.Serializer[Any]):
    """Where to pull from: a table of a database, or files of a bucket."""

    kind = serializers.ChoiceField(choices=KINDS, default=ConnectorKind.POSTGRESQL.value)
    dsn = serializers.CharField(
        max_length=2000,
        write_only=True,
        default="",
        allow_blank=True,
        help_text="Of a database: postgresql://user:password@host:5432/db?sslmode=verify-full",
    )
    bucket = serializers.CharField(
        default="", allow_blank=True, help_text="The name or id of a connected bucket."
    )
    path = serializers.CharField(
        max_length=900,
        default="",
        allow_blank=True,
        help_text="Of objects in it: exports/orders/*.parquet, or exports/ for all below.",
    )
    source_schema = serializers.CharField(max_length=63, default="", allow_blank=True)
    source_table = serializers.CharField(max_length=63, default="", allow_blank=True)
    mode = serializers.ChoiceField(choices=MODES, default=ConnectorMode.APPEND.value)
    watermark_column = serializers.CharField(
        max_length=63,
        default="",
        allow_blank=True,
        help_text="A column that only grows: an identity, or the time of the last change.",
    )


class NewConnectorSerializer(SourceSerializer):
    """What to pull, from where, into which table."""

    name = serializers.CharField(max_length=120)
    target_schema = serializers.CharField(max_length=63, default="main")
    target_table = serializers.CharField(max_length=63)
    interval_seconds = serializers.IntegerField(default=3600)


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
        """Pull a table or the files of a bucket from now on; the first run begins at once."""
        actor = actor_of(request)
        given = valid(NewConnectorSerializer, request)
        found = _catalog(actor, workspace, catalog)
        made = connectors.create_connector(
            actor=actor,
            catalog=found,
            name=given["name"],
            source=_source(actor, found, given),
            target_schema=given["target_schema"],
            target_table=given["target_table"],
            interval_seconds=given["interval_seconds"],
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
        found = _catalog(actor, workspace, catalog)
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


def _catalog(actor: Actor, workspace: str, catalog: str) -> Catalog:
    return find_catalog(actor, find_workspace(actor, workspace), catalog)


def _connector(actor: Actor, workspace: str, catalog: str, name: str) -> Connector:
    return connectors.find_connector(actor, _catalog(actor, workspace, catalog), name)
