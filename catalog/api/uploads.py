"""Endpoints of uploads and of the jobs that write them."""

from __future__ import annotations

from pathlib import PurePath
from typing import ClassVar
from uuid import UUID

from django.conf import settings
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.domain import Scope
from api.permissions import RequiredScopes, actor_of
from catalog import services as catalogs
from catalog.api.naming import named_catalog
from catalog.api.serializers import JobSerializer, UploadSerializer
from catalog.domain import UploadFormat, UploadMode
from catalog.selectors import find_job
from catalog.services.uploads import refuse_large
from problems import Invalid
from workspaces.selectors import find_workspace

FORMATS = {
    ".csv": UploadFormat.CSV,
    ".json": UploadFormat.JSON,
    ".jsonl": UploadFormat.JSON,
    ".ndjson": UploadFormat.JSON,
    ".parquet": UploadFormat.PARQUET,
    ".tsv": UploadFormat.CSV,
}
FORM_BYTES = 2**20
"""What a form may add to the file itself."""


class UploadsView(APIView):
    """Files on their way into a catalog."""

    required_scopes: ClassVar[RequiredScopes] = {"POST": Scope.CATALOG_WRITE}
    parser_classes = (MultiPartParser,)

    @extend_schema(
        operation_id="upload_table",
        parameters=[OpenApiParameter("Idempotency-Key", str, OpenApiParameter.HEADER)],
        request={"multipart/form-data": UploadSerializer},
        responses={202: JobSerializer},
        tags=["catalog"],
    )
    def post(self, request: Request, workspace: str, catalog: str) -> Response:
        """Store a file durably and queue its writing; the same key again changes nothing."""
        actor = actor_of(request)
        found = named_catalog(actor, workspace, catalog)
        announced = int(request.headers.get("Content-Length") or 0)
        if announced > settings.UPLOAD_MAX_BYTES + FORM_BYTES:
            raise refuse_large(
                "The upload", announced, settings.UPLOAD_MAX_BYTES
            )  # before the body is read
        form = UploadSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        given = form.validated_data
        job = catalogs.upload_table(
            actor=actor,
            catalog=found,
            schema=given["schema"],
            table=given["table"],
            file=given["file"],
            file_name=given["file"].name,
            size_bytes=given["file"].size,
            format=format_of(given["file"].name, given.get("format", "")),
            mode=UploadMode(given["mode"]),
            idempotency_key=request.headers.get("Idempotency-Key", "")[:120],
        )
        return Response(JobSerializer(job).data, status=status.HTTP_202_ACCEPTED)


class JobView(APIView):
    """One write to one catalog."""

    required_scopes: ClassVar[RequiredScopes] = {"GET": Scope.CATALOG_READ}

    @extend_schema(operation_id="get_job", responses=JobSerializer, tags=["catalog"])
    def get(self, request: Request, workspace: str, job: UUID) -> Response:
        """Return where a job stands."""
        actor = actor_of(request)
        found = find_job(actor, find_workspace(actor, workspace), job)
        return Response(JobSerializer(found).data)


def format_of(file_name: str, chosen: str) -> UploadFormat:
    """Return the form chosen, or the one that the file's name tells. Raises `Invalid`."""
    if chosen:
        return UploadFormat(chosen)
    suffix = PurePath(file_name).suffix.lower()
    if suffix not in FORMATS:
        raise Invalid(
            f"{file_name} does not tell its format.",
            hint="Send `format`: csv, json or parquet.",
        )
    return FORMATS[suffix]
