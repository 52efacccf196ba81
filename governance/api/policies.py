"""`/policies`: the list, one policy, its versions, how two of them differ, and the settings."""

from __future__ import annotations

import difflib
from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.domain import Actor, Scope
from api.bodies import valid
from api.pagination import CursorPagination
from api.permissions import RequiredScopes, actor_of
from governance import examination
from governance.api.filters import FILTERS, filtered
from governance.api.requests import (
    NewPolicySerializer,
    PolicyChangeSerializer,
    PolicySettingsSerializer,
)
from governance.api.serializers import (
    PolicyDetailSerializer,
    PolicySerializer,
    PolicyVersionSerializer,
    PolicyVersionSummarySerializer,
    with_live_versions,
)
from governance.domain import PolicyKind
from governance.models import Policy, PolicySet, PolicyVersion
from governance.policy_selectors import (
    find_policy,
    find_version,
    visible_policies,
    withheld,
)
from governance.scopes import named_scope, scopes_of
from governance.services import policies
from workspaces.models import Workspace
from workspaces.selectors import find_workspace

TAGS = ["policies"]


class ByName(CursorPagination):
    """Policies are read by name."""

    ordering = "name"


class PoliciesView(generics.ListAPIView[Policy]):
    """The workspace's policies."""

    serializer_class = PolicySerializer
    pagination_class = ByName
    required_scopes: ClassVar[RequiredScopes] = {
        "GET": Scope.CATALOG_READ,
        "POST": Scope.CATALOG_WRITE,
    }

    def get_queryset(self) -> QuerySet[Policy]:
        """Return what the actor may see, filtered as asked."""
        actor = actor_of(self.request)
        workspace = find_workspace(actor, self.kwargs["workspace"])
        rows = filtered(visible_policies(actor, workspace), actor, workspace, self.request)
        return with_live_versions(rows)

    @extend_schema(operation_id="list_policies", parameters=FILTERS, tags=TAGS)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:  # noqa: ARG002 - DRF's signature
        """List policies by name, with what is in force and what is open of each."""
        actor = actor_of(request)
        page = self.paginate_queryset(self.get_queryset()) or []
        workspace = find_workspace(actor, self.kwargs["workspace"])
        context = context_of(actor, workspace, list(page))
        shown = [PolicySerializer(policy, context=context).data for policy in page]
        return self.get_paginated_response(shown)

    @extend_schema(
        operation_id="create_policy",
        request=NewPolicySerializer,
        responses={201: PolicyDetailSerializer},
        tags=TAGS,
    )
    def post(self, request: Request, workspace: str) -> Response:
        """Begin a policy with a draft; it may be unfinished, and holds nothing yet."""
        actor = actor_of(request)
        where = find_workspace(actor, workspace)
        facts = valid(NewPolicySerializer, request)
        version = policies.create_policy(
            actor=actor,
            workspace=where,
            scope=named_scope(actor, where, facts.pop("on")),
            kind=PolicyKind(facts.pop("kind")),
            **facts,
        )
        return detail(actor, where, version.policy, status.HTTP_201_CREATED)


class PolicyView(APIView):
    """One policy."""

    required_scopes: ClassVar[RequiredScopes] = {
        "GET": Scope.CATALOG_READ,
        "PATCH": Scope.CATALOG_WRITE,
        "DELETE": Scope.CATALOG_WRITE,
    }

    @extend_schema(operation_id="get_policy", responses=PolicyDetailSerializer, tags=TAGS)
    def get(self, request: Request, workspace: str, policy: str) -> Response:
        """Return a policy with its texts, its summary, and what is wrong with it now."""
        actor, where, found = policy_of(request, workspace, policy)
        return detail(actor, where, found)

    @extend_schema(
        operation_id="change_policy",
        request=PolicyChangeSerializer,
        responses=PolicyDetailSerializer,
        tags=TAGS,
    )
    def patch(self, request: Request, workspace: str, policy: str) -> Response:
        """Change its name, description or end; the text is changed in its draft."""
        actor, where, found = policy_of(request, workspace, policy)
        facts = valid(PolicyChangeSerializer, request)
        never = "expires_at" in facts and facts["expires_at"] is None
        changed = policies.change_policy(actor=actor, policy=found, never_expires=never, **facts)
        return detail(actor, where, changed)

    @extend_schema(operation_id="delete_policy", responses={204: None}, tags=TAGS)
    def delete(self, request: Request, workspace: str, policy: str) -> Response:
        """Delete a policy that was never in force; others are retired."""
        actor, _, found = policy_of(request, workspace, policy)
        policies.delete_policy(actor=actor, policy=found)
        return Response(status=status.HTTP_204_NO_CONTENT)


class NewestFirst(CursorPagination):
    """Versions are read from the newest."""

    ordering = "-number"


class VersionsView(generics.ListAPIView[PolicyVersion]):
    """The versions of a policy."""

    serializer_class = PolicyVersionSummarySerializer
    pagination_class = NewestFirst
    required_scopes: ClassVar[RequiredScopes] = {"GET": Scope.CATALOG_READ}

    @extend_schema(operation_id="list_policy_versions", tags=TAGS)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:  # noqa: ARG002 - DRF's signature
        """List the versions of a policy from the newest: its history."""
        actor, where, found = policy_of(request, self.kwargs["workspace"], self.kwargs["policy"])
        rows = found.versions.select_related("author", "decided_by", "published_by")
        page = list(self.paginate_queryset(rows) or [])
        context = {"withheld": withheld(actor, where, page)}
        shown = [PolicyVersionSummarySerializer(version, context=context).data for version in page]
        return self.get_paginated_response(shown)


class PolicyDiffSerializer(serializers.Serializer[Any]):
    """How two versions of a policy differ."""

    before = serializers.IntegerField()
    after = serializers.IntegerField()
    diff = serializers.CharField(help_text="A unified diff of the texts, with names of today.")
    is_withheld = serializers.BooleanField(help_text="One names something you may not browse.")


class DiffView(APIView):
    """How two versions differ."""

    required_scopes: ClassVar[RequiredScopes] = {"GET": Scope.CATALOG_READ}

    @extend_schema(
        operation_id="diff_policy_versions",
        parameters=[
            OpenApiParameter("before", OpenApiTypes.INT, required=True),
            OpenApiParameter("after", OpenApiTypes.INT, required=True),
        ],
        responses=PolicyDiffSerializer,
        tags=TAGS,
    )
    def get(self, request: Request, workspace: str, policy: str) -> Response:
        """Return a unified diff of two versions' texts."""
        actor, where, found = policy_of(request, workspace, policy)
        wanted = PolicyDiffRequestSerializer(data=request.query_params)
        wanted.is_valid(raise_exception=True)
        before = find_version(found, wanted.validated_data["before"])
        after = find_version(found, wanted.validated_data["after"])
        is_withheld = bool(withheld(actor, where, [before, after]))
        diff = "" if is_withheld else diff_of(before, after)
        return Response(
            {
                "before": before.number,
                "after": after.number,
                "diff": diff,
                "is_withheld": is_withheld,
            }
        )


class PolicyDiffRequestSerializer(serializers.Serializer[Any]):
    """Which two versions."""

    before = serializers.IntegerField(min_value=1)
    after = serializers.IntegerField(min_value=1)


class SettingsView(APIView):
    """How the workspace publishes policies."""

    required_scopes: ClassVar[RequiredScopes] = {
        "GET": Scope.CATALOG_READ,
        "PATCH": Scope.ADMIN,
    }

    @extend_schema(
        operation_id="get_policy_settings", responses=PolicySettingsSerializer, tags=TAGS
    )
    def get(self, request: Request, workspace: str) -> Response:
        """Tell whether a second person must approve policies."""
        where = find_workspace(actor_of(request), workspace)
        held = PolicySet.objects.filter(workspace=where).first() or PolicySet(workspace=where)
        return Response(PolicySettingsSerializer(held).data)

    @extend_schema(
        operation_id="change_policy_settings",
        request=PolicySettingsSerializer,
        responses=PolicySettingsSerializer,
        tags=TAGS,
    )
    def patch(self, request: Request, workspace: str) -> Response:
        """Say whether a second person must approve each policy; recorded."""
        actor = actor_of(request)
        where = find_workspace(actor, workspace)
        given = valid(PolicySettingsSerializer, request)
        held = policies.set_requires_approval(
            actor=actor, workspace=where, required=given["requires_approval"]
        )
        return Response(PolicySettingsSerializer(held).data)


def policy_of(request: Request, workspace: str, policy: str) -> tuple[Actor, Workspace, Policy]:
    """Return who asks, and the workspace and the policy of an address."""
    actor = actor_of(request)
    where = find_workspace(actor, workspace)
    return actor, where, find_policy(actor, where, policy)


def context_of(actor: Actor, workspace: Workspace, found: list[Policy]) -> dict[str, Any]:
    """Return what the shapes of several policies need, each thing read once for all."""
    versions = [v for policy in found for v in policy.live_versions]  # type: ignore[attr-defined]
    return {
        "withheld": withheld(actor, workspace, versions),
        "scopes": {key: s.label for key, s in scopes_of(workspace, found).items()},
    }


def detail(
    actor: Actor, workspace: Workspace, policy: Policy, status_code: int = status.HTTP_200_OK
) -> Response:
    """Answer with one policy; its etag is that of what is open, else of what is in force."""
    rows = Policy.objects.filter(id=policy.id).select_related(
        "workspace__organization", "created_by"
    )
    found = with_live_versions(rows).get()
    context = context_of(actor, workspace, [found])
    shown = PolicyDetailSerializer(found, context=context).data
    return Response(shown, status=status_code)


def version_detail(
    actor: Actor, version: PolicyVersion, status_code: int = status.HTTP_200_OK
) -> Response:
    """Answer with one version and its text, and its etag as a header."""
    found = find_version(version.policy, version.number)
    context = {"withheld": withheld(actor, version.policy.workspace, [found])}
    shown = PolicyVersionSerializer(found, context=context).data
    return Response(shown, status=status_code, headers={"ETag": f'"{found.etag}"'})


def diff_of(before: PolicyVersion, after: PolicyVersion) -> str:
    """Return a unified diff of two versions' texts, with the names of today in both."""
    return "".join(
        difflib.unified_diff(
            examination.shown_text(before).splitlines(keepends=True),
            examination.shown_text(after).splitlines(keepends=True),
            f"version {before.number}",
            f"version {after.number}",
        )
    )
