"""Endpoints of what people say of catalogs, tables and columns."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.domain import Actor, Scope
from api.permissions import RequiredScopes, actor_of
from catalog.api.naming import listed_table, named_catalog, named_column, named_table
from governance import details, selectors
from governance import services as governance
from governance.domain import Securable

READ_AND_WRITE: RequiredScopes = {"GET": Scope.CATALOG_READ, "PATCH": Scope.CATALOG_WRITE}


class DetailsChangeSerializer(serializers.Serializer[Any]):
    """What to say; what is left out stays."""

    description = serializers.CharField(required=False, allow_blank=True)
    classification = serializers.CharField(
        required=False,
        allow_blank=True,
        help_text="public, internal, confidential or restricted, or the organization's own;"
        " empty takes it away.",
    )


class DetailsSerializer(serializers.Serializer[Any]):
    """What is said of a catalog, a table or a column."""

    description = serializers.CharField()
    classification = serializers.CharField(help_text="Its own; empty where it has none.")
    effective_classification = serializers.CharField(
        help_text="The strictest of its own and those that it inherits."
    )


class ColumnDetailsSerializer(DetailsSerializer):
    """What is said of one column; a child of a struct reads `info.iban`."""

    column = serializers.CharField()


class TableDetailsSerializer(DetailsSerializer):
    """What is said of a table and of each of its columns."""

    columns = ColumnDetailsSerializer(many=True)


class CatalogDetailsView(APIView):
    """What is said of a catalog."""

    required_scopes: ClassVar[RequiredScopes] = READ_AND_WRITE

    @extend_schema(
        operation_id="get_catalog_details", responses=DetailsSerializer, tags=["governance"]
    )
    def get(self, request: Request, workspace: str, catalog: str) -> Response:
        """Return what the catalog holds and how it is classified."""
        return Response(said_of(named_catalog(actor_of(request), workspace, catalog).securable))

    @extend_schema(
        operation_id="describe_catalog",
        request=DetailsChangeSerializer,
        responses=DetailsSerializer,
        tags=["governance"],
    )
    def patch(self, request: Request, workspace: str, catalog: str) -> Response:
        """Say what the catalog holds and how it is classified."""
        actor = actor_of(request)
        return _described(request, actor, named_catalog(actor, workspace, catalog).securable)


class TableDetailsView(APIView):
    """What is said of a table and its columns."""

    required_scopes: ClassVar[RequiredScopes] = READ_AND_WRITE

    @extend_schema(
        operation_id="get_table_details", responses=TableDetailsSerializer, tags=["governance"]
    )
    def get(self, request: Request, **names: str) -> Response:
        """Return what the table and each of its columns hold, and their classifications."""
        table = listed_table(actor_of(request), **names)
        return Response(said_of(table) | {"columns": columns_of(table)})

    @extend_schema(
        operation_id="describe_table",
        request=DetailsChangeSerializer,
        responses=DetailsSerializer,
        tags=["governance"],
    )
    def patch(self, request: Request, **names: str) -> Response:
        """Say what the table holds and how it is classified."""
        actor = actor_of(request)
        return _described(request, actor, named_table(actor, **names))


class ColumnDetailsView(APIView):
    """What is said of one column."""

    required_scopes: ClassVar[RequiredScopes] = {"PATCH": Scope.CATALOG_WRITE}

    @extend_schema(
        operation_id="describe_column",
        request=DetailsChangeSerializer,
        responses=DetailsSerializer,
        tags=["governance"],
    )
    def patch(self, request: Request, column: str, **names: str) -> Response:
        """Say what the column holds and how it is classified; it stays through renaming."""
        actor = actor_of(request)
        return _described(request, actor, named_column(named_table(actor, **names), column))


def said_of(securable: Securable) -> dict[str, Any]:
    """Return what is said of one securable, JSON-ready."""
    order = details.classifications_of(securable.organization_id)
    own = selectors.assigned_tags_of([securable])[securable.key]
    effective = selectors.tags_of([securable])[securable.key]
    return {
        "description": details.descriptions_of([securable]).get(securable.key, ""),
        "classification": details.classification_in(own, order),
        "effective_classification": details.classification_in(effective, order),
    }


def columns_of(table: Securable) -> list[dict[str, Any]]:
    """Return what is said of each column, in a number of statements that does not grow."""
    order = details.classifications_of(table.organization_id)
    said = details.descriptions_of([table])
    own, effective = selectors.own_column_tags(table), selectors.column_tags_of([table])
    return [
        {
            "column": column.name,
            "description": said.get(column.key, ""),
            "classification": details.classification_in(own[column.key], order),
            "effective_classification": details.classification_in(effective[column.key], order),
        }
        for column in table.columns
    ]


def _described(request: Request, actor: Actor, securable: Securable) -> Response:
    given = DetailsChangeSerializer(data=request.data)
    given.is_valid(raise_exception=True)
    governance.describe(actor=actor, securable=securable, **given.validated_data)
    return Response(said_of(securable))
