"""Endpoints of lakes that were made elsewhere and are to become catalogs."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.parsers import JSONParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.domain import Scope
from api.permissions import RequiredScopes, actor_of
from catalog import services as catalogs
from catalog.api.naming import named_catalog
from catalog.domain import AdoptionMode, AdoptionSource, AdoptionState
from catalog.models import Adoption
from catalog.selectors import find_adoption, find_bucket, visible_adoptions
from catalog.services.adoptions import Source
from catalog.services.catalogs import hosted_bucket
from workspaces.selectors import find_workspace

READ_AND_WRITE: RequiredScopes = {"GET": Scope.CATALOG_READ, "POST": Scope.CATALOG_WRITE}
WRITE: RequiredScopes = {"POST": Scope.CATALOG_WRITE}
MODES = [(mode.value, mode.name) for mode in AdoptionMode]
STATES = [(state.value, state.name) for state in AdoptionState]


class NewAdoptionSerializer(serializers.Serializer[Any]):
    """A lake to adopt: where its files are, and where its metadata is.

    Metadata comes as a file (`file`, in a multipart form), as an object in the bucket
    (`metadata_key`), or from PostgreSQL (`dsn`).
    """

    name = serializers.CharField(max_length=200, help_text="What the catalog will be called.")
    description = serializers.CharField(default="", allow_blank=True, max_length=2000)
    bucket = serializers.CharField(
        default="", allow_blank=True, help_text="Name or id; Upend's own where left out."
    )
    prefix = serializers.CharField(
        default="",
        allow_blank=True,
        max_length=400,
        help_text="Below which its files lie; as the lake says of itself where left out.",
    )
    mode = serializers.ChoiceField(
        choices=MODES,
        help_text="`managed`: Upend is its one writer from then on. `read_only`: others write it.",
    )
    metadata_store = serializers.ChoiceField(
        choices=[source.value for source in AdoptionSource], help_text="What keeps its metadata."
    )
    source_schema = serializers.CharField(
        default="",
        allow_blank=True,
        max_length=63,
        help_text="The schema of its metadata tables; `public` in PostgreSQL, else `main`.",
    )
    dsn = serializers.CharField(
        default="",
        allow_blank=True,
        max_length=2000,
        write_only=True,
        help_text="postgresql://user:password@host:port/database; never shown again.",
    )
    metadata_key = serializers.CharField(default="", allow_blank=True, max_length=400)
    file = serializers.FileField(required=False, write_only=True)
    sync_seconds = serializers.IntegerField(
        default=300,
        min_value=0,
        max_value=7 * 24 * 3600,
        help_text="How often a read-only lake in PostgreSQL is followed; 0 is only when asked.",
    )


class FindingSerializer(serializers.Serializer[Any]):
    """Something that was found in a lake; a blocking one must be mended first."""

    code = serializers.CharField()
    severity = serializers.CharField(help_text="`blocking` or `note`.")
    detail = serializers.CharField()
    hint = serializers.CharField()
    count = serializers.IntegerField()
    examples = serializers.ListField(child=serializers.CharField())


class ReportSerializer(serializers.Serializer[Any]):
    """What is in a lake, over all its history."""

    tables = serializers.IntegerField()
    views = serializers.IntegerField()
    snapshots = serializers.IntegerField()
    newest_snapshot = serializers.IntegerField(allow_null=True)
    files = serializers.IntegerField()
    bytes = serializers.IntegerField()
    rows = serializers.IntegerField()
    encrypted = serializers.BooleanField()
    is_adoptable = serializers.BooleanField()
    findings = FindingSerializer(many=True)


class AdoptionSerializer(serializers.Serializer[Adoption]):
    """One adoption; in state `checked` its report waits to be confirmed or cancelled."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    bucket = serializers.CharField(source="bucket.name")
    prefix = serializers.CharField()
    mode = serializers.ChoiceField(choices=MODES)
    metadata_store = serializers.ChoiceField(
        choices=[source.value for source in AdoptionSource], source="source"
    )
    source_label = serializers.CharField()
    source_schema = serializers.CharField()
    state = serializers.ChoiceField(choices=STATES)
    progress = serializers.JSONField()
    report = ReportSerializer(allow_null=True)
    problem = serializers.JSONField(allow_null=True)
    catalog = serializers.UUIDField(source="catalog_id", allow_null=True)
    sync_seconds = serializers.IntegerField()
    synced_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)


class AdoptionListSerializer(serializers.Serializer[Any]):
    """The adoptions of a workspace, newest first."""

    results = AdoptionSerializer(many=True)


class AdoptionsView(APIView):
    """Lakes on their way to becoming catalogs."""

    required_scopes: ClassVar[RequiredScopes] = READ_AND_WRITE
    parser_classes = (JSONParser, MultiPartParser)

    @extend_schema(
        operation_id="list_adoptions", responses=AdoptionListSerializer, tags=["catalog"]
    )
    def get(self, request: Request, workspace: str) -> Response:
        """List the adoptions of the workspace, to who may adopt."""
        actor = actor_of(request)
        found = visible_adoptions(actor, find_workspace(actor, workspace))
        return Response(AdoptionListSerializer({"results": found}).data)

    @extend_schema(
        operation_id="request_adoption",
        request={
            "application/json": NewAdoptionSerializer,
            "multipart/form-data": NewAdoptionSerializer,
        },
        responses={202: AdoptionSerializer},
        tags=["catalog"],
    )
    def post(self, request: Request, workspace: str) -> Response:
        """Have a lake read and checked; nothing is adopted before it is confirmed."""
        actor = actor_of(request)
        place = find_workspace(actor, workspace)
        form = NewAdoptionSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        given = form.validated_data
        bucket = given["bucket"]
        file = given.get("file")
        adoption = catalogs.request_adoption(
            actor=actor,
            bucket=find_bucket(actor, place, bucket) if bucket else hosted_bucket(place),
            name=given["name"],
            description=given["description"],
            mode=AdoptionMode(given["mode"]),
            prefix=given["prefix"],
            sync_seconds=given["sync_seconds"],
            source=Source(
                AdoptionSource(given["metadata_store"]),
                given["source_schema"],
                given["dsn"],
                file,
                file.name if file else "",
                given["metadata_key"],
            ),
        )
        return Response(AdoptionSerializer(adoption).data, status=status.HTTP_202_ACCEPTED)


class AdoptionView(APIView):
    """One adoption."""

    required_scopes: ClassVar[RequiredScopes] = {"GET": Scope.CATALOG_READ}

    @extend_schema(operation_id="get_adoption", responses=AdoptionSerializer, tags=["catalog"])
    def get(self, request: Request, workspace: str, adoption: UUID) -> Response:
        """Return where an adoption stands, with its report."""
        actor = actor_of(request)
        found = find_adoption(actor, find_workspace(actor, workspace), adoption)
        return Response(AdoptionSerializer(found).data)


class ConfirmAdoptionView(APIView):
    """Yes to a report."""

    required_scopes: ClassVar[RequiredScopes] = WRITE

    @extend_schema(
        operation_id="confirm_adoption",
        request=None,
        responses={202: AdoptionSerializer},
        tags=["catalog"],
    )
    def post(self, request: Request, workspace: str, adoption: UUID) -> Response:
        """Adopt the lake as it was reported; what was written since is read and checked first."""
        actor = actor_of(request)
        found = find_adoption(actor, find_workspace(actor, workspace), adoption)
        done = catalogs.confirm_adoption(actor=actor, adoption=found)
        return Response(AdoptionSerializer(done).data, status=status.HTTP_202_ACCEPTED)


class CancelAdoptionView(APIView):
    """No to a report, or to waiting for one."""

    required_scopes: ClassVar[RequiredScopes] = WRITE

    @extend_schema(
        operation_id="cancel_adoption",
        request=None,
        responses={202: AdoptionSerializer},
        tags=["catalog"],
    )
    def post(self, request: Request, workspace: str, adoption: UUID) -> Response:
        """Stop, and throw away what was read."""
        actor = actor_of(request)
        found = find_adoption(actor, find_workspace(actor, workspace), adoption)
        done = catalogs.cancel_adoption(actor=actor, adoption=found)
        return Response(AdoptionSerializer(done).data, status=status.HTTP_202_ACCEPTED)


class SyncView(APIView):
    """The following of a lake that others write."""

    required_scopes: ClassVar[RequiredScopes] = WRITE

    @extend_schema(
        operation_id="sync_catalog",
        request=None,
        responses={202: AdoptionSerializer},
        tags=["catalog"],
    )
    def post(self, request: Request, workspace: str, catalog: str) -> Response:
        """Read a lake that was adopted read-only again now."""
        actor = actor_of(request)
        found = named_catalog(actor, workspace, catalog)
        adoption = catalogs.sync_catalog(actor=actor, catalog=found)
        return Response(AdoptionSerializer(adoption).data, status=status.HTTP_202_ACCEPTED)
