"""Endpoints of tags on what exists, and of what one may do with a table and why."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.domain import Actor, Scope
from api.permissions import RequiredScopes, actor_of
from catalog import lake
from catalog.selectors import find_catalog, find_table
from governance import domain, selectors
from governance import services as governance
from governance.domain import Action, DecisionContext, Securable
from workspaces.selectors import find_workspace

TABLE_ACTIONS = (
    (Action.CATALOG_BROWSE, ""),
    (Action.CATALOG_MANAGE, ""),
    (Action.TABLE_APPEND, "server"),
    (Action.TABLE_MATERIALIZE_LOCALLY, "local"),
    (Action.TABLE_QUERY, "server"),
    (Action.TABLE_TAG, ""),
)
"""What can be done with a table, and where it would happen."""


class TagsSerializer(serializers.Serializer[Any]):
    """The tags of a securable."""

    assigned = serializers.ListField(child=serializers.CharField(), help_text="On itself.")
    effective = serializers.ListField(
        child=serializers.CharField(), help_text="With those it inherits: these count."
    )


class DecisionSerializer(serializers.Serializer[Any]):
    """One answer: whether the actor may do it now, and why."""

    action = serializers.CharField()
    allowed = serializers.BooleanField()
    reason = serializers.CharField()
    remedy = serializers.CharField()
    determined_by = serializers.ListField(child=serializers.DictField())


class DecisionListSerializer(serializers.Serializer[Any]):
    """What the actor may do with a table, from where they ask."""

    results = DecisionSerializer(many=True)


class CatalogTagView(APIView):
    """One tag of a catalog."""

    required_scopes: ClassVar[RequiredScopes] = {
        "PUT": Scope.CATALOG_WRITE,
        "DELETE": Scope.CATALOG_WRITE,
    }

    @extend_schema(
        operation_id="tag_catalog", request=None, responses=TagsSerializer, tags=["governance"]
    )
    def put(self, request: Request, workspace: str, catalog: str, tag: str) -> Response:
        """Put a tag on the catalog; all of its tables inherit it."""
        actor = actor_of(request)
        return _assigned(actor, _catalog(actor, workspace, catalog), tag)

    @extend_schema(operation_id="untag_catalog", responses=TagsSerializer, tags=["governance"])
    def delete(self, request: Request, workspace: str, catalog: str, tag: str) -> Response:
        """Take a tag off the catalog."""
        actor = actor_of(request)
        return _removed(actor, _catalog(actor, workspace, catalog), tag)


class TableTagView(APIView):
    """One tag of a table."""

    required_scopes: ClassVar[RequiredScopes] = {
        "PUT": Scope.CATALOG_WRITE,
        "DELETE": Scope.CATALOG_WRITE,
    }

    @extend_schema(
        operation_id="tag_table", request=None, responses=TagsSerializer, tags=["governance"]
    )
    def put(self, request: Request, tag: str, **names: str) -> Response:
        """Put a tag on the table; it stays through renaming."""
        actor = actor_of(request)
        return _assigned(actor, _table(actor, **names), tag)

    @extend_schema(operation_id="untag_table", responses=TagsSerializer, tags=["governance"])
    def delete(self, request: Request, tag: str, **names: str) -> Response:
        """Take a tag off the table itself; an inherited one is taken off where it was put."""
        actor = actor_of(request)
        return _removed(actor, _table(actor, **names), tag)


class TableDecisionsView(APIView):
    """What the actor may do with a table, and why."""

    required_scopes: ClassVar[RequiredScopes] = {"GET": Scope.CATALOG_READ}

    @extend_schema(
        operation_id="explain_table_access", responses=DecisionListSerializer, tags=["governance"]
    )
    def get(self, request: Request, **names: str) -> Response:
        """Answer every action on the table for who asks, from where they ask."""
        actor = actor_of(request)
        table = _table(actor, **names)
        found = [
            decision
            for place in ("", "server", "local")
            for decision in selectors.decide_many(
                actor,
                [
                    domain.Request(action, table)
                    for action, where in TABLE_ACTIONS
                    if where == place
                ],
                DecisionContext(place=place),
            )
        ]
        found.sort(key=lambda decision: decision.action)
        return Response({"results": [decision.as_dict() for decision in found]})


def _catalog(actor: Actor, workspace: str, catalog: str) -> Securable:
    return find_catalog(actor, find_workspace(actor, workspace), catalog).securable


def _table(actor: Actor, workspace: str, catalog: str, schema: str, table: str) -> Securable:
    found = find_catalog(actor, find_workspace(actor, workspace), catalog)
    newest = lake.latest_snapshot(found).snapshot_id
    return find_table(actor, found, newest, schema, table).securable(found.securable)


def _assigned(actor: Actor, securable: Securable, tag: str) -> Response:
    governance.assign_tag(actor=actor, securable=securable, tag=tag)
    return _tags(securable)


def _removed(actor: Actor, securable: Securable, tag: str) -> Response:
    governance.remove_tag(actor=actor, securable=securable, tag=tag)
    return _tags(securable)


def _tags(securable: Securable) -> Response:
    assigned = selectors.assigned_tags_of([securable])[securable.key]
    effective = selectors.tags_of([securable])[securable.key]
    return Response({"assigned": sorted(assigned), "effective": sorted(effective)})
