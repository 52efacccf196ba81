"""The endpoint of what one may do with a table, and why."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.domain import Actor, Scope
from api.permissions import RequiredScopes, actor_of
from catalog.api.naming import named_table
from governance import domain, selectors
from governance.domain import Action, DecisionContext
from governance.services import viewing
from workspaces.selectors import find_workspace

TABLE_ACTIONS = (
    (Action.CATALOG_BROWSE, ""),
    (Action.CATALOG_MANAGE, ""),
    (Action.TABLE_ALTER, ""),
    (Action.TABLE_APPEND, "server"),
    (Action.TABLE_MAINTAIN, ""),
    (Action.TABLE_MATERIALIZE_LOCALLY, "local"),
    (Action.TABLE_MODIFY, "server"),
    (Action.TABLE_QUERY, "server"),
    (Action.TABLE_TAG, ""),
)
"""What can be done with a table, and where it would happen."""

AS = OpenApiParameter(
    "as",
    OpenApiTypes.STR,
    description="Look as this principal: an address, a service account's name, or an id.",
)


class DecisionSerializer(serializers.Serializer[Any]):
    """One answer: whether the actor may do it now, and why."""

    action = serializers.CharField()
    allowed = serializers.BooleanField()
    reason = serializers.CharField()
    remedy = serializers.CharField()
    determined_by = serializers.ListField(child=serializers.DictField())


class ViewedAsSerializer(serializers.Serializer[Any]):
    """Whose answers these are, where somebody looks as another principal."""

    kind = serializers.CharField()
    id = serializers.CharField()
    name = serializers.CharField()


class DecisionListSerializer(serializers.Serializer[Any]):
    """What the actor may do with a table, from where they ask."""

    viewed_as = ViewedAsSerializer(allow_null=True)
    results = DecisionSerializer(many=True)


class TableDecisionsView(APIView):
    """What the actor may do with a table, and why."""

    required_scopes: ClassVar[RequiredScopes] = {"GET": Scope.CATALOG_READ}

    @extend_schema(
        operation_id="explain_table_access",
        parameters=[AS],
        responses=DecisionListSerializer,
        tags=["governance"],
    )
    def get(self, request: Request, **names: str) -> Response:
        """Answer every action on the table for who asks, from where they ask, or for another."""
        actor = actor_of(request)
        table = named_table(actor, **names)
        other = _other(actor, request, names["workspace"], table)
        actor = other or actor
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
        body = {"viewed_as": viewed_as(other), "results": [one.as_dict() for one in found]}
        return Response(body)


def viewed_as(actor: Actor | None) -> dict[str, str] | None:
    """Return whom a response is about, where it is not about who asked."""
    if actor is None:
        return None
    return {"kind": actor.kind.value, "id": str(actor.id), "name": actor.label}


def _other(actor: Actor, request: Request, workspace: str, table: domain.Securable) -> Actor | None:
    """Return the principal that `?as=` names. Raises as `viewing.view_as`."""
    name = request.query_params.get("as", "")
    if not name:
        return None
    return viewing.view_as(
        actor=actor,
        workspace=find_workspace(actor, workspace),
        principal=name,
        looked_at=f"decisions: {table.label}",
    )
