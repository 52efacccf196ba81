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
from catalog.services.registration_preview import preview_registration

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
    dry_run = serializers.BooleanField(
        default=False, help_text="Say which files it would be and which do not fit; write nothing."
    )


class PreviewedFileSerializer(serializers.Serializer[Any]):
    """A file that would be registered."""

    name = serializers.CharField(help_text="Below the prefix.")
    size_bytes = serializers.IntegerField()
    rows = serializers.IntegerField(
        allow_null=True, help_text="Null where it was not opened, or cannot be read."
    )
    problem = serializers.CharField(help_text="Why it does not fit; empty where it does.")


class PreviewedColumnSerializer(serializers.Serializer[Any]):
    """A column of the table that is there, or that would be made."""

    name = serializers.CharField()
    type = serializers.CharField()


class RegistrationPreviewSerializer(serializers.Serializer[Any]):
    """What registering would do. With one file that does not fit, none is registered."""

    prefix = serializers.CharField()
    is_new_prefix = serializers.BooleanField(
        help_text="The catalog may read there from then on, and could not before."
    )
    size_bytes = serializers.IntegerField()
    rows = serializers.IntegerField(help_text="Of the files that were opened.")
    unopened = serializers.IntegerField(help_text="Files beyond the first 500.")
    misfits = serializers.IntegerField(help_text="Files that do not fit.")
    skipped = serializers.IntegerField(help_text="Files that are in the table already.")
    columns = PreviewedColumnSerializer(many=True)
    files = PreviewedFileSerializer(many=True)


class RegistrationsView(APIView):
    """Files of others on their way to being part of a table."""

    required_scopes: ClassVar[RequiredScopes] = {"POST": Scope.CATALOG_WRITE}

    @extend_schema(
        operation_id="register_files",
        parameters=[OpenApiParameter("Idempotency-Key", str, OpenApiParameter.HEADER)],
        request=RegistrationSerializer,
        responses={200: RegistrationPreviewSerializer, 202: JobSerializer},
        tags=["catalog"],
    )
    def post(self, request: Request, workspace: str, catalog: str) -> Response:
        """Say what registering would do (`dry_run`), or queue it, all files or none.

        A dry run reads footers: names and types of columns, and rows. The job's problem says what
        fits not.
        """
        actor = actor_of(request)
        given = valid(RegistrationSerializer, request)
        found = named_catalog(actor, workspace, catalog)
        asked = Registration(
            given["schema"],
            given["table"],
            UploadMode(given["mode"]),
            given["prefix"],
            tuple(given["files"]),
            given["allow_missing"],
            given["ignore_extra"],
            given["skip_registered"],
        )
        if given["dry_run"]:
            shown = preview_registration(actor=actor, catalog=found, asked=asked)
            return Response(RegistrationPreviewSerializer(shown.as_dict()).data)
        job = register_files(
            actor=actor,
            catalog=found,
            asked=asked,
            idempotency_key=request.headers.get("Idempotency-Key", ""),
        )
        return Response(JobSerializer(job).data, status=status.HTTP_202_ACCEPTED)
