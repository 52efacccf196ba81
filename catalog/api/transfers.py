"""Endpoints of large files on their way: begun, sent part by part, looked at, loaded."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers, status
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.domain import Actor, Scope
from api.bodies import valid
from api.permissions import RequiredScopes, actor_of
from catalog.api.naming import named_catalog
from catalog.api.serializers import JobSerializer
from catalog.api.uploads import format_of
from catalog.domain import TransferState, UploadFormat, UploadMode
from catalog.models import Transfer
from catalog.services import transfers
from problems import Invalid

TAGS = ["catalog"]
FORMATS = [form.value for form in UploadFormat]
MODES = [(mode.value, mode.name) for mode in UploadMode]


class PreviewColumnSerializer(serializers.Serializer[Any]):
    """A column as the file shows it."""

    name = serializers.CharField()
    type = serializers.CharField()


class TransferPreviewSerializer(serializers.Serializer[Any]):
    """The first rows of a file as text, and the types of its columns."""

    columns = PreviewColumnSerializer(many=True)
    rows = serializers.ListField(
        child=serializers.ListField(child=serializers.CharField(allow_null=True))
    )


class TransferSerializer(serializers.Serializer[Transfer]):
    """A file on its way."""

    id = serializers.UUIDField()
    state = serializers.ChoiceField(choices=[(s.value, s.name) for s in TransferState])
    file_name = serializers.CharField(source="arguments.file_name")
    schema = serializers.CharField(source="arguments.schema")
    table = serializers.CharField(source="arguments.table")
    format = serializers.CharField(source="arguments.format")
    mode = serializers.CharField(source="arguments.mode")
    size_bytes = serializers.IntegerField()
    part_bytes = serializers.IntegerField(help_text="The size of every part but the last.")
    part_count = serializers.IntegerField()
    expires_at = serializers.DateTimeField(help_text="When it is given up if nobody loads it.")
    preview = TransferPreviewSerializer(allow_null=True)
    preview_job = JobSerializer(allow_null=True)
    job = JobSerializer(allow_null=True, help_text="The writing of the file.")


class NewTransferSerializer(serializers.Serializer[Any]):
    """A file to send."""

    schema = serializers.CharField(default="main", max_length=63)
    table = serializers.CharField(max_length=63)
    file_name = serializers.CharField(max_length=300)
    size_bytes = serializers.IntegerField(min_value=0)
    mode = serializers.ChoiceField(choices=MODES, default=UploadMode.CREATE.value)
    format = serializers.ChoiceField(choices=FORMATS, required=False)


class TransferPartsSerializer(serializers.Serializer[Any]):
    """What has not arrived, and where to send the first of it."""

    missing = serializers.IntegerField(help_text="How many parts have not arrived.")
    urls = serializers.DictField(
        child=serializers.CharField(),
        help_text="Part number to the address that takes its bytes by PUT for an hour.",
    )


class LoadTransferSerializer(serializers.Serializer[Any]):
    """How a staged file is loaded; what is left out stays as it was said at the beginning."""

    schema = serializers.CharField(required=False, max_length=63)
    table = serializers.CharField(required=False, max_length=63)
    mode = serializers.ChoiceField(choices=MODES, required=False)
    types = serializers.DictField(
        child=serializers.CharField(max_length=40),
        required=False,
        help_text="Types of columns of a new table, where the inferred ones are not meant.",
    )


class RawParser(BaseParser):
    """Takes a body as it is."""

    media_type = "application/octet-stream"

    def parse(
        self,
        stream: Any,
        media_type: str | None = None,  # noqa: ARG002 - the interface's
        parser_context: Any = None,  # noqa: ARG002 - the interface's
    ) -> Any:
        """Return the stream, unread."""
        return stream


class TransfersView(APIView):
    """Large files on their way into a catalog."""

    required_scopes: ClassVar[RequiredScopes] = {"POST": Scope.CATALOG_WRITE}

    @extend_schema(
        operation_id="begin_transfer",
        request=NewTransferSerializer,
        responses={201: TransferSerializer},
        tags=TAGS,
    )
    def post(self, request: Request, workspace: str, catalog: str) -> Response:
        """Begin to send a large file part by part, straight to the storage."""
        actor = actor_of(request)
        given = valid(NewTransferSerializer, request)
        begun = transfers.begin_transfer(
            actor=actor,
            catalog=named_catalog(actor, workspace, catalog),
            schema=given["schema"],
            table=given["table"],
            file_name=given["file_name"],
            size_bytes=given["size_bytes"],
            format=format_of(given["file_name"], given.get("format", "")),
            mode=UploadMode(given["mode"]),
        )
        return Response(TransferSerializer(begun).data, status=status.HTTP_201_CREATED)


class TransferView(APIView):
    """One file on its way."""

    required_scopes: ClassVar[RequiredScopes] = {
        "GET": Scope.CATALOG_WRITE,
        "DELETE": Scope.CATALOG_WRITE,
    }

    @extend_schema(operation_id="get_transfer", responses=TransferSerializer, tags=TAGS)
    def get(self, request: Request, workspace: str, catalog: str, transfer: UUID) -> Response:
        """Return where a file of one's own is, with its preview once it was read."""
        found = _transfer(actor_of(request), workspace, catalog, transfer)
        return Response(TransferSerializer(found).data)

    @extend_schema(operation_id="cancel_transfer", responses={204: None}, tags=TAGS)
    def delete(self, request: Request, workspace: str, catalog: str, transfer: UUID) -> Response:
        """Give a file up; what arrived is forgotten."""
        actor = actor_of(request)
        found = _transfer(actor, workspace, catalog, transfer)
        transfers.cancel_transfer(actor=actor, transfer=found)
        return Response(status=status.HTTP_204_NO_CONTENT)


class TransferPartsView(APIView):
    """What has not arrived of a file."""

    required_scopes: ClassVar[RequiredScopes] = {"GET": Scope.CATALOG_WRITE}

    @extend_schema(operation_id="list_transfer_parts", responses=TransferPartsSerializer, tags=TAGS)
    def get(self, request: Request, workspace: str, catalog: str, transfer: UUID) -> Response:
        """Return which parts have not arrived and where to send the first of them.

        Asked again after an interruption, it is where to go on.
        """
        found = _transfer(actor_of(request), workspace, catalog, transfer)
        missing = transfers.missing_parts(found)
        urls = transfers.part_addresses(found, missing)
        return Response({"missing": len(missing), "urls": urls})


class TransferPartView(APIView):
    """One part, for clients that the storage does not let in."""

    required_scopes: ClassVar[RequiredScopes] = {"PUT": Scope.CATALOG_WRITE}
    parser_classes = (RawParser,)

    @extend_schema(
        operation_id="send_transfer_part",
        request={"application/octet-stream": OpenApiTypes.BINARY},
        responses={204: OpenApiResponse(description="It arrived.")},
        parameters=[OpenApiParameter("number", int, OpenApiParameter.PATH)],
        tags=TAGS,
    )
    def put(
        self, request: Request, workspace: str, catalog: str, transfer: UUID, number: int
    ) -> Response:
        """Take the bytes of one part; slower than its own address, which needs no server."""
        found = _transfer(actor_of(request), workspace, catalog, transfer)
        announced = int(request.headers.get("Content-Length") or 0)
        if announced > found.part_bytes:
            raise Invalid(f"A part has at most {found.part_bytes:,} bytes.")
        content = request.stream.read(announced) if request.stream else b""
        transfers.send_part(found, number, content)
        return Response(status=status.HTTP_204_NO_CONTENT)


class CompleteTransferView(APIView):
    """The end of sending."""

    required_scopes: ClassVar[RequiredScopes] = {"POST": Scope.CATALOG_WRITE}

    @extend_schema(
        operation_id="complete_transfer", request=None, responses=TransferSerializer, tags=TAGS
    )
    def post(self, request: Request, workspace: str, catalog: str, transfer: UUID) -> Response:
        """Make one object of the parts; refused with what is missing."""
        actor = actor_of(request)
        found = _transfer(actor, workspace, catalog, transfer)
        done = transfers.complete_transfer(actor=actor, transfer=found)
        return Response(TransferSerializer(done).data)


class PreviewTransferView(APIView):
    """A look into a file before it is loaded."""

    required_scopes: ClassVar[RequiredScopes] = {"POST": Scope.CATALOG_WRITE}

    @extend_schema(
        operation_id="preview_transfer",
        request=None,
        responses={202: TransferSerializer},
        tags=TAGS,
    )
    def post(self, request: Request, workspace: str, catalog: str, transfer: UUID) -> Response:
        """Have the first rows and the types read; they are in the transfer once its job ends."""
        actor = actor_of(request)
        found = _transfer(actor, workspace, catalog, transfer)
        asked = transfers.preview_transfer(actor=actor, transfer=found)
        return Response(TransferSerializer(asked).data, status=status.HTTP_202_ACCEPTED)


class LoadTransferView(APIView):
    """The writing of a file that arrived."""

    required_scopes: ClassVar[RequiredScopes] = {"POST": Scope.CATALOG_WRITE}

    @extend_schema(
        operation_id="load_transfer",
        request=LoadTransferSerializer,
        responses={202: JobSerializer},
        tags=TAGS,
    )
    def post(self, request: Request, workspace: str, catalog: str, transfer: UUID) -> Response:
        """Queue the writing of the file; where that fails, it stays to be loaded otherwise."""
        actor = actor_of(request)
        found = _transfer(actor, workspace, catalog, transfer)
        given = valid(LoadTransferSerializer, request)
        if "mode" in given:
            given["mode"] = UploadMode(given["mode"])
        job = transfers.load_transfer(actor=actor, transfer=found, **given)
        return Response(JobSerializer(job).data, status=status.HTTP_202_ACCEPTED)


def _transfer(actor: Actor, workspace: str, catalog: str, identifier: UUID) -> Transfer:
    return transfers.find_transfer(actor, named_catalog(actor, workspace, catalog), identifier)
