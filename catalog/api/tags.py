"""Endpoints of tags on catalogs, tables and columns."""

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
from governance import selectors
from governance import services as governance
from governance.domain import Securable
from governance.tags import own_column_tags, shown

TAGGING: RequiredScopes = {"PUT": Scope.CATALOG_WRITE, "DELETE": Scope.CATALOG_WRITE}


class TagValueSerializer(serializers.Serializer[Any]):
    """How a tag is put on."""

    value = serializers.CharField(
        required=False, default="", allow_blank=True, help_text="One of the tag's allowed values."
    )


class TagsSerializer(serializers.Serializer[Any]):
    """The tags of a securable; one with a value reads `sensitivity=high`."""

    assigned = serializers.ListField(child=serializers.CharField(), help_text="On itself.")
    effective = serializers.ListField(
        child=serializers.CharField(), help_text="With those it inherits: these count."
    )


class ColumnTagsSerializer(TagsSerializer):
    """The tags of one column; a child of a struct reads `info.iban`."""

    column = serializers.CharField()


class TableTagsSerializer(TagsSerializer):
    """The tags of a table and of each of its columns."""

    columns = ColumnTagsSerializer(many=True)


class CatalogTagView(APIView):
    """One tag of a catalog."""

    required_scopes: ClassVar[RequiredScopes] = TAGGING

    @extend_schema(
        operation_id="tag_catalog",
        request=TagValueSerializer,
        responses=TagsSerializer,
        tags=["governance"],
    )
    def put(self, request: Request, workspace: str, catalog: str, tag: str) -> Response:
        """Put a tag on the catalog; all of its tables inherit it."""
        actor = actor_of(request)
        return _assigned(actor, named_catalog(actor, workspace, catalog).securable, tag, request)

    @extend_schema(operation_id="untag_catalog", responses=TagsSerializer, tags=["governance"])
    def delete(self, request: Request, workspace: str, catalog: str, tag: str) -> Response:
        """Take a tag off the catalog."""
        actor = actor_of(request)
        return _removed(actor, named_catalog(actor, workspace, catalog).securable, tag)


class TableTagsView(APIView):
    """The tags of a table and its columns."""

    required_scopes: ClassVar[RequiredScopes] = {"GET": Scope.CATALOG_READ}

    @extend_schema(
        operation_id="list_table_tags", responses=TableTagsSerializer, tags=["governance"]
    )
    def get(self, request: Request, **names: str) -> Response:
        """List the tags of the table and of each column, nested ones after their struct."""
        table = listed_table(actor_of(request), **names)
        own, effective = own_column_tags(table), selectors.column_tags_of([table])
        columns = [
            {
                "column": column.name,
                "assigned": shown(own[column.key]),
                "effective": shown(effective[column.key]),
            }
            for column in table.columns
        ]
        return Response(_tags(table) | {"columns": columns})


class TableTagView(APIView):
    """One tag of a table."""

    required_scopes: ClassVar[RequiredScopes] = TAGGING

    @extend_schema(
        operation_id="tag_table",
        request=TagValueSerializer,
        responses=TagsSerializer,
        tags=["governance"],
    )
    def put(self, request: Request, tag: str, **names: str) -> Response:
        """Put a tag on the table; it stays through renaming."""
        actor = actor_of(request)
        return _assigned(actor, named_table(actor, **names), tag, request)

    @extend_schema(operation_id="untag_table", responses=TagsSerializer, tags=["governance"])
    def delete(self, request: Request, tag: str, **names: str) -> Response:
        """Take a tag off the table itself; an inherited one is taken off where it was put."""
        actor = actor_of(request)
        return _removed(actor, named_table(actor, **names), tag)


class ColumnTagView(APIView):
    """One tag of a column; the column is named, `info.iban` in a struct, or its field id given."""

    required_scopes: ClassVar[RequiredScopes] = TAGGING

    @extend_schema(
        operation_id="tag_column",
        request=TagValueSerializer,
        responses=TagsSerializer,
        tags=["governance"],
    )
    def put(self, request: Request, column: str, tag: str, **names: str) -> Response:
        """Put a tag on the column; it stays through renaming, of the column as of the table."""
        actor = actor_of(request)
        named = named_column(named_table(actor, **names), column)
        return _assigned(actor, named, tag, request)

    @extend_schema(operation_id="untag_column", responses=TagsSerializer, tags=["governance"])
    def delete(self, request: Request, column: str, tag: str, **names: str) -> Response:
        """Take a tag off the column itself."""
        actor = actor_of(request)
        return _removed(actor, named_column(named_table(actor, **names), column), tag)


def _assigned(actor: Actor, securable: Securable, tag: str, request: Request) -> Response:
    given = TagValueSerializer(data=request.data)
    given.is_valid(raise_exception=True)
    value = given.validated_data["value"]
    governance.assign_tag(actor=actor, securable=securable, tag=tag, value=value)
    return Response(_tags(securable))


def _removed(actor: Actor, securable: Securable, tag: str) -> Response:
    governance.remove_tag(actor=actor, securable=securable, tag=tag)
    return Response(_tags(securable))


def _tags(securable: Securable) -> dict[str, Any]:
    assigned = selectors.assigned_tags_of([securable])[securable.key]
    effective = selectors.tags_of([securable])[securable.key]
    return {"assigned": shown(assigned), "effective": shown(effective)}
