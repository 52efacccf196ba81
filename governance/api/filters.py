"""What a list of policies may be narrowed to."""

from __future__ import annotations

from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.request import Request

from accounts.domain import Actor
from governance.api.serializers import KINDS
from governance.domain import VersionState
from governance.models import Policy, PolicyVersion
from governance.scopes import named_scope
from workspaces.models import Workspace

STATES = [
    (state.value, state.name)
    for state in (
        VersionState.DRAFT,
        VersionState.IN_REVIEW,
        VersionState.PUBLISHED,
        VersionState.RETIRED,
    )
]
FILTERS = [
    OpenApiParameter("kind", enum=[value for value, _ in KINDS]),
    OpenApiParameter(
        "state",
        enum=[value for value, _ in STATES],
        description="draft and in_review: what is open; published: what is in force; "
        "retired: what was, with nothing open.",
    ),
    OpenApiParameter("on", description="The label of what it holds for, itself."),
    OpenApiParameter("broken", OpenApiTypes.BOOL),
    OpenApiParameter("q", description="Words of the name or the description."),
]


class PolicyFilterSerializer(serializers.Serializer[Any]):
    """The filters of a list of policies."""

    kind = serializers.ChoiceField(choices=KINDS, required=False)
    state = serializers.ChoiceField(choices=STATES, required=False)
    on = serializers.CharField(required=False, max_length=300)
    broken = serializers.BooleanField(required=False, default=None, allow_null=True)
    q = serializers.CharField(required=False, max_length=200)


def filtered(
    rows: QuerySet[Policy], actor: Actor, workspace: Workspace, request: Request
) -> QuerySet[Policy]:
    """Return the policies that a request asks for. Raises `UnknownScope`."""
    given = PolicyFilterSerializer(data=request.query_params)
    given.is_valid(raise_exception=True)
    asked = given.validated_data
    if kind := asked.get("kind"):
        rows = rows.filter(kind=kind)
    if label := asked.get("on"):
        rows = rows.filter(scope_key=named_scope(actor, workspace, label).key)
    if asked.get("broken") is not None:
        rows = (
            rows.filter(broken_because="")
            if not asked["broken"]
            else rows.exclude(broken_because="")
        )
    for word in asked.get("q", "").split():
        rows = rows.filter(Q(name__icontains=word) | Q(description__icontains=word))
    return _in_state(rows, asked["state"]) if asked.get("state") else rows


def _in_state(rows: QuerySet[Policy], state: str) -> QuerySet[Policy]:
    live = (VersionState.PUBLISHED, VersionState.DRAFT, VersionState.IN_REVIEW)
    versions = PolicyVersion.objects.filter(policy=OuterRef("pk"))
    rows = rows.filter(Exists(versions.filter(state=state)))
    if state == VersionState.RETIRED:
        rows = rows.exclude(Exists(versions.filter(state__in=live)))
    return rows
