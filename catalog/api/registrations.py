"""The endpoint that makes Parquet files part of a table where they lie."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.domain import Scope
from api.bodies import valid
from api.permissions import RequiredScopes, actor_of
from catalog.api.naming import named_catalog
from catalog.api.serializers import JobSerializer
from catalog.domain import UploadMode
from catalog.services.registering import MAX_FILES, Registration, register_files

MODES = [(mode.value, mode.name) for mode in UploadMode]


class RegistrationSerializer(serializers.Serializer[Any]):
    """Files in the catalog's bucket that are to be rows of a table, without being copied."""

    schema = serializers.CharField(default="main", max_length=63)
    table = serializers.CharField(max_length=63)
    mode = serializers.ChoiceField(
        choices=MODES,
        default=UploadMode.APPEND.value,
        help_text="`create`: a new table with the columns of the first file.",
    )
    prefix = serializers.CharField(
        max_length=400,
        help_text="Below which the files lie; none of a catalog's own. A new one needs the right"
        " to manage buckets.",
    )
    files = serializers.ListField(
        child=serializers.CharField(max_length=400),
        default=list,
        max_length=MAX_FILES,
        help_text="Names below the prefix; every file that ends with .parquet where left out.",
    )
    allow_missing = serializers.BooleanField(
        default=False, help_text="Columns that a file does not have are NULL in its rows."
    )
    ignore_extra = serializers.BooleanField(
        default=False, help_text="Columns that the table does not have are left out."
    )
    skip_registered = serializers.BooleanField(
        default=False, help_text="Pass over files that are in the table, instead of refusing."
    )


class RegistrationsView(APIView):
    """Files of others on their way to being part of a table."""

    required_scopes: ClassVar[RequiredScopes] = {"POST": Scope.CATALOG_WRITE}

    @extend_schema(
        operation_id="register_files",
        parameters=[OpenApiParameter("Idempotency-Key", str, OpenApiParameter.HEADER)],
        request=RegistrationSerializer,
        responses={202: JobSerializer},
        tags=["catalog"],
    )
    def post(self, request: Request, workspace: str, catalog: str) -> Response:
        """Queue the registration, all files or none; the job's problem says what fits not."""
        actor = actor_of(request)
        given = valid(RegistrationSerializer, request)
        job = register_files(
            actor=actor,
            catalog=named_catalog(actor, workspace, catalog),
            asked=Registration(
                given["schema"],
                given["table"],
                UploadMode(given["mode"]),
                given["prefix"],
                tuple(given["files"]),
                given["allow_missing"],
                given["ignore_extra"],
                given["skip_registered"],
            ),
            idempotency_key=request.headers.get("Idempotency-Key", ""),
        )
        return Response(JobSerializer(job).data, status=status.HTTP_202_ACCEPTED)
