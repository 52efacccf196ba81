"""Endpoints that change what tables are: previewed, then carried out by the catalog's writer."""

from __future__ import annotations

import re
from typing import ClassVar

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.domain import Actor, Scope
from api.permissions import RequiredScopes, actor_of
from catalog.api.naming import named_catalog
from catalog.api.operations import (
    ChangePreviewSerializer,
    ChangesSerializer,
    NewSchemaSerializer,
    NewTableSerializer,
    new_table_of,
    operations_of,
)
from catalog.api.serializers import JobSerializer
from catalog.models import Catalog
from catalog.services import new_tables, tables
from problems import Invalid

IDEMPOTENCY = OpenApiParameter("Idempotency-Key", str, OpenApiParameter.HEADER)
IF_MATCH = OpenApiParameter(
    "If-Match",
    str,
    OpenApiParameter.HEADER,
    description='The `schema_version` that the change is for, such as `"12"`.',
)
VERSION = re.compile(r'(?:W/)?"?([0-9]{1,18})"?')


class TableChangesView(APIView):
    """Changes of one table's definition."""

    required_scopes: ClassVar[RequiredScopes] = {"POST": Scope.CATALOG_WRITE}

    @extend_schema(
        operation_id="change_table",
        parameters=[IF_MATCH, IDEMPOTENCY],
        request=ChangesSerializer,
        responses={200: ChangePreviewSerializer, 202: JobSerializer},
        tags=["catalog"],
    )
    def post(
        self, request: Request, workspace: str, catalog: str, schema: str, table: str
    ) -> Response:
        """Say what the operations would do and break (`dry_run`), or queue them as one job.

        Each operation is a snapshot of its own. A job fails whole where the table was changed
        between this request and its turn.
        """
        actor, found = place_of(request, workspace, catalog)
        given = ChangesSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        asked = operations_of(given.validated_data["operations"])
        if given.validated_data["dry_run"]:
            shown = tables.preview_changes(
                actor=actor, catalog=found, schema=schema, table=table, operations=asked
            )
            return Response(shown.as_dict(), headers={"ETag": f'"{shown.schema_version}"'})
        job = tables.change_table(
            actor=actor,
            catalog=found,
            schema=schema,
            table=table,
            operations=asked,
            if_version=_version(request),
            message=given.validated_data["message"],
            idempotency_key=idempotency_key(request),
        )
        return Response(JobSerializer(job).data, status=status.HTTP_202_ACCEPTED)


class SchemasView(APIView):
    """The schemas of a catalog."""

    required_scopes: ClassVar[RequiredScopes] = {"POST": Scope.CATALOG_WRITE}

    @extend_schema(
        operation_id="create_schema",
        request=NewSchemaSerializer,
        responses={202: JobSerializer},
        tags=["catalog"],
    )
    def post(self, request: Request, workspace: str, catalog: str) -> Response:
        """Queue the making of a schema."""
        actor, found = place_of(request, workspace, catalog)
        given = NewSchemaSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        name = given.validated_data["name"]
        job = new_tables.create_schema(actor=actor, catalog=found, name=name)
        return Response(JobSerializer(job).data, status=status.HTTP_202_ACCEPTED)


class SchemaView(APIView):
    """One schema."""

    required_scopes: ClassVar[RequiredScopes] = {"DELETE": Scope.CATALOG_WRITE}

    @extend_schema(operation_id="drop_schema", responses={202: JobSerializer}, tags=["catalog"])
    def delete(self, request: Request, workspace: str, catalog: str, schema: str) -> Response:
        """Queue the dropping of a schema that has no tables."""
        actor, found = place_of(request, workspace, catalog)
        job = new_tables.drop_schema(actor=actor, catalog=found, name=schema)
        return Response(JobSerializer(job).data, status=status.HTTP_202_ACCEPTED)


def created(request: Request, workspace: str, catalog: str) -> Response:
    """Preview or queue the table that a request describes."""
    actor, found = place_of(request, workspace, catalog)
    given = NewTableSerializer(data=request.data)
    given.is_valid(raise_exception=True)
    asked = new_table_of(given.validated_data)
    if given.validated_data["dry_run"]:
        layout, statements = new_tables.preview_table(actor=actor, catalog=found, table=asked)
        does = f"Creates {found.name}.{asked.schema}.{asked.name}, {len(layout.columns)} columns."
        steps = [{"does": does, "sql": sql} for sql in statements]
        return Response({"schema_version": 0, "steps": steps, "breaks": []})
    job = new_tables.create_table(
        actor=actor, catalog=found, table=asked, idempotency_key=idempotency_key(request)
    )
    return Response(JobSerializer(job).data, status=status.HTTP_202_ACCEPTED)


def place_of(request: Request, workspace: str, catalog: str) -> tuple[Actor, Catalog]:
    """Return who asks, and the catalog of the address."""
    actor = actor_of(request)
    return actor, named_catalog(actor, workspace, catalog)


def idempotency_key(request: Request) -> str:
    """Return the key that makes a repeated request one; empty where there is none."""
    return request.headers.get("Idempotency-Key", "")[:120]


def _version(request: Request) -> int | None:
    """Return the version that the caller has seen. Raises `Invalid`."""
    given = request.headers.get("If-Match", "").strip()
    if given in {"", "*"}:
        return None
    found = VERSION.fullmatch(given)
    if found is None:
        raise Invalid(
            f"If-Match {given[:40]!r} is no version.", hint="Send the table's `schema_version`."
        )
    return int(found[1])
