"""Endpoints of tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param
from rest_framework.views import APIView

from accounts.domain import Actor, Scope
from api.permissions import RequiredScopes, actor_of
from catalog import cursors, lake
from catalog.api import definitions
from catalog.api.naming import named_catalog
from catalog.api.operations import ChangePreviewSerializer, NewTableSerializer
from catalog.api.serializers import (
    AtSerializer,
    JobSerializer,
    TableDetailSerializer,
    TableListSerializer,
    TablePageSerializer,
)
from catalog.domain import Table
from catalog.models import Catalog
from catalog.selectors import as_shown_to, find_table, snapshot_of
from catalog.tables.definitions import layout_of
from catalog.tables.layout import Layout
from catalog.visibility import visible_tables
from governance import domain as governance_domain
from governance import services as governance
from governance.domain import Action
from governance.tags import shown


class TablesView(APIView):
    """The tables of a catalog."""

    required_scopes: ClassVar[RequiredScopes] = {
        "GET": Scope.CATALOG_READ,
        "POST": Scope.CATALOG_WRITE,
    }

    @extend_schema(
        operation_id="create_table",
        parameters=[definitions.IDEMPOTENCY],
        request=NewTableSerializer,
        responses={200: ChangePreviewSerializer, 202: JobSerializer},
        tags=["catalog"],
    )
    def post(self, request: Request, workspace: str, catalog: str) -> Response:
        """Say what would be made (`dry_run`), or queue the making of an empty table."""
        return definitions.created(request, workspace, catalog)

    @extend_schema(
        operation_id="list_tables",
        parameters=[TablePageSerializer],
        responses=TableListSerializer,
        tags=["catalog"],
    )
    def get(self, request: Request, workspace: str, catalog: str) -> Response:
        """List the tables at a snapshot that the actor may browse, by schema and name.

        `search` keeps those whose whole name holds each of its words.
        """
        actor = actor_of(request)
        found = named_catalog(actor, workspace, catalog)
        wanted = TablePageSerializer(data=request.query_params)
        wanted.is_valid(raise_exception=True)
        asked = wanted.validated_data
        snapshot = snapshot_of(found, asked["snapshot"])
        size, after = asked["page_size"], asked["cursor"] or None
        search = lake.Search.of(asked["search"])
        tables = visible_tables(
            actor, found, snapshot.snapshot_id, search=search, after=after, limit=size + 1
        )
        body = {
            "snapshot": snapshot,
            "results": described(actor, found, tables[:size]),
            "next": _next(request, snapshot.snapshot_id, tables, size),
        }
        return Response(TableListSerializer(body).data)


class TableView(APIView):
    """One table."""

    required_scopes: ClassVar[RequiredScopes] = {"GET": Scope.CATALOG_READ}

    @extend_schema(
        operation_id="get_table",
        parameters=[AtSerializer],
        responses=TableDetailSerializer,
        tags=["catalog"],
    )
    def get(
        self, request: Request, workspace: str, catalog: str, schema: str, table: str
    ) -> Response:
        """Return one table at a snapshot with its columns and exact row count."""
        actor = actor_of(request)
        found = named_catalog(actor, workspace, catalog)
        snapshot = snapshot_of(found, _at(request))
        one = find_table(actor, found, snapshot.snapshot_id, schema, table)
        [body] = described(actor, found, [one])
        (seen,) = as_shown_to(actor, found, [one])
        layout = layout_of(found, snapshot.snapshot_id, one, seen)
        body |= {"columns": layout.columns, "snapshot": snapshot} | _definition(layout)
        etag = f'"{layout.schema_version}"'
        return Response(TableDetailSerializer(body).data, headers={"ETag": etag})


def described(actor: Actor, catalog: Catalog, tables: Sequence[Table]) -> list[dict[str, Any]]:
    """Return each table with its tags and whether the actor may query it."""
    parent = catalog.securable
    securables = [table.securable(parent) for table in tables]
    requests = [governance_domain.Request(Action.TABLE_QUERY, s) for s in securables]
    decisions = governance.decide_many(actor, requests)
    tags = governance.tags_of(securables)
    return [
        {
            "table_uuid": table.table_uuid,
            "schema_name": table.schema_name,
            "name": table.name,
            "sql_name": table.label,
            "record_count": table.record_count,
            "file_count": table.file_count,
            "file_size_bytes": table.file_size_bytes,
            "tags": shown(tags[table.key]),
            "may_query": decision.allowed,
        }
        for table, decision in zip(tables, decisions, strict=True)
    ]


def _definition(layout: Layout) -> dict[str, Any]:
    """Return what the table's definition has beside its columns."""
    return {
        "schema_version": layout.schema_version,
        "comment": layout.comment,
        "partition_by": [key.shown for key in layout.partition_by],
        "sort_by": [key.shown for key in layout.sort_by],
    }


def _next(request: Request, snapshot_id: int, tables: Sequence[Table], size: int) -> str | None:
    """Return the address of the next page, at the same snapshot, where more is there."""
    if len(tables) <= size:
        return None
    address = request.build_absolute_uri()
    for name, value in (
        ("snapshot", snapshot_id),
        ("cursor", cursors.after(tables[size - 1])),
    ):
        address = replace_query_param(address, name, value)
    return address


def _at(request: Request) -> int | None:
    given = AtSerializer(data=request.query_params)
    given.is_valid(raise_exception=True)
    snapshot_id: int | None = given.validated_data["snapshot"]
    return snapshot_id
