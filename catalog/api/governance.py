"""The endpoint of what one may do with a table, and why."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.domain import Scope
from api.permissions import RequiredScopes, actor_of
from catalog.api.naming import named_table
from governance import domain, selectors
from governance.domain import Action, DecisionContext

TABLE_ACTIONS = (
    (Action.CATALOG_BROWSE, ""),
    (Action.CATALOG_MANAGE, ""),
    (Action.TABLE_APPEND, "server"),
    (Action.TABLE_MATERIALIZE_LOCALLY, "local"),
    (Action.TABLE_QUERY, "server"),
    (Action.TABLE_TAG, ""),
)
"""What can be done with a table, and where it would happen."""


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


class TableDecisionsView(APIView):
    """What the actor may do with a table, and why."""

    required_scopes: ClassVar[RequiredScopes] = {"GET": Scope.CATALOG_READ}

    @extend_schema(
        operation_id="explain_table_access", responses=DecisionListSerializer, tags=["governance"]
    )
    def get(self, request: Request, **names: str) -> Response:
        """Answer every action on the table for who asks, from where they ask."""
        actor = actor_of(request)
        table = named_table(actor, **names)
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
