"""`/access-requests`: asking for access, and what those who publish policies make of it."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import generics, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.domain import Scope
from api.bodies import valid
from api.pagination import CursorPagination
from api.permissions import RequiredScopes, actor_of
from governance.domain import Action, RequestState
from governance.models import AccessRequest
from governance.scopes import named_scope
from governance.services import access_requests
from governance.services.access_requests import ON_TABLES
from problems import Problem
from workspaces.selectors import find_workspace

TAGS = ["access"]
STATES = [(state.value, state.name) for state in RequestState]
ACTIONS = sorted((action.value, action.value) for action in ON_TABLES)


class AccessPersonSerializer(serializers.Serializer[Any]):
    """Who asked, or decided."""

    id = serializers.UUIDField()
    name = serializers.CharField(source="display_name")
    email = serializers.EmailField()


class AccessRequestSerializer(serializers.Serializer[AccessRequest]):
    """A request for access, and what became of it."""

    id = serializers.UUIDField()
    requester = AccessPersonSerializer()
    on = serializers.SerializerMethodField(help_text="The table.")
    actions = serializers.ListField(child=serializers.ChoiceField(choices=ACTIONS))
    reason = serializers.CharField()
    ends_at = serializers.DateTimeField(allow_null=True)
    state = serializers.ChoiceField(choices=STATES)
    policies = serializers.ListField(
        child=serializers.CharField(), help_text="The policies that were drafted to grant it."
    )
    created_at = serializers.DateTimeField()
    decided_by = AccessPersonSerializer(allow_null=True)
    decided_at = serializers.DateTimeField(allow_null=True)
    decision_reason = serializers.CharField()

    def get_on(self, request: AccessRequest) -> str:
        """Return the table's name of today."""
        labels: dict[str, str] = self.context["labels"]
        return labels.get(request.securable_key, request.securable_label)


class AccessDraftSerializer(serializers.Serializer[Any]):
    """A text that would grant the request."""

    policy = serializers.CharField()
    is_new = serializers.BooleanField(help_text="Else it is the next version of that policy.")
    text = serializers.CharField()


class AccessRequestDetailSerializer(AccessRequestSerializer):
    """A request with what would grant it."""

    drafts = serializers.SerializerMethodField(help_text="Empty unless it is open.")
    obstacle = serializers.SerializerMethodField(help_text="Why no policy can grant it, if so.")

    @extend_schema_field(AccessDraftSerializer(many=True))
    def get_drafts(self, request: AccessRequest) -> list[dict[str, Any]]:  # noqa: ARG002 - DRF asks
        """Return the texts."""
        drafts: list[access_requests.Draft] = self.context["drafts"]
        return [{"policy": d.name, "is_new": d.policy is None, "text": d.text} for d in drafts]

    def get_obstacle(self, request: AccessRequest) -> str:  # noqa: ARG002 - DRF's signature
        """Return the sentence."""
        return str(self.context["obstacle"])


class NewAccessRequestSerializer(serializers.Serializer[Any]):
    """What is asked for, and why."""

    on = serializers.CharField(max_length=300, help_text="catalog.schema.table")
    actions = serializers.ListField(
        child=serializers.ChoiceField(choices=ACTIONS), min_length=1, max_length=len(ACTIONS)
    )
    reason = serializers.CharField(max_length=access_requests.MAX_REASON_LENGTH)
    ends_at = serializers.DateTimeField(required=False, default=None, allow_null=True)


class GrantSerializer(serializers.Serializer[Any]):
    """Why it is granted, and until when."""

    reason = serializers.CharField(required=False, default="", allow_blank=True, max_length=2000)
    ends_at = serializers.DateTimeField(
        required=False, default=None, allow_null=True, help_text="Else the end that was asked for."
    )


class DeclineSerializer(serializers.Serializer[Any]):
    """Why it is declined."""

    reason = serializers.CharField(max_length=2000)


class Newest(CursorPagination):
    """Requests are read newest first."""

    ordering = "-created_at"


class AccessRequestsView(generics.ListAPIView[AccessRequest]):
    """The requests that the actor made, or may decide."""

    serializer_class = AccessRequestSerializer
    pagination_class = Newest
    required_scopes: ClassVar[RequiredScopes] = {
        "GET": Scope.CATALOG_READ,
        "POST": Scope.CATALOG_READ,
    }

    def get_queryset(self) -> QuerySet[AccessRequest]:
        """Return what the actor may see, of one state where one is asked for."""
        actor = actor_of(self.request)
        workspace = find_workspace(actor, self.kwargs["workspace"])
        rows = access_requests.visible_requests(actor, workspace)
        state = self.request.query_params.get("state", "")
        return rows.filter(state=state) if state else rows

    @extend_schema(
        operation_id="list_access_requests",
        parameters=[OpenApiParameter("state", str, enum=[state for state, _ in STATES])],
        tags=TAGS,
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:  # noqa: ARG002 - DRF's signature
        """List requests for access, newest first: one's own, and those one may decide."""
        page = list(self.paginate_queryset(self.get_queryset()) or [])
        context = {"labels": access_requests.labels_of(page)}
        return self.get_paginated_response(
            [AccessRequestSerializer(row, context=context).data for row in page]
        )

    @extend_schema(
        operation_id="request_access",
        request=NewAccessRequestSerializer,
        responses={201: AccessRequestDetailSerializer},
        tags=TAGS,
    )
    def post(self, request: Request, workspace: str) -> Response:
        """Ask for access to a table; who publishes policies for it decides."""
        actor = actor_of(request)
        place = find_workspace(actor, workspace)
        wanted = valid(NewAccessRequestSerializer, request)
        made = access_requests.request_access(
            actor=actor,
            workspace=place,
            securable=named_scope(actor, place, wanted["on"]),
            actions=[Action(action) for action in wanted["actions"]],
            reason=wanted["reason"],
            ends_at=wanted["ends_at"],
        )
        return Response(_detail(made), status=status.HTTP_201_CREATED)


class _OneRequestView(APIView):
    """What is done with one request."""

    def found(self, request: Request, workspace: str, identifier: UUID) -> AccessRequest:
        """Return the request that the address names."""
        actor = actor_of(request)
        return access_requests.find_request(actor, find_workspace(actor, workspace), identifier)


class AccessRequestView(_OneRequestView):
    """One request."""

    required_scopes: ClassVar[RequiredScopes] = {"GET": Scope.CATALOG_READ}

    @extend_schema(
        operation_id="get_access_request", responses=AccessRequestDetailSerializer, tags=TAGS
    )
    def get(self, request: Request, workspace: str, identifier: UUID) -> Response:
        """Show a request with the policies that would grant it."""
        return Response(_detail(self.found(request, workspace, identifier)))


class GrantAccessView(_OneRequestView):
    """Granting."""

    required_scopes: ClassVar[RequiredScopes] = {"POST": Scope.CATALOG_WRITE}

    @extend_schema(
        operation_id="grant_access_request",
        request=GrantSerializer,
        responses=AccessRequestDetailSerializer,
        tags=TAGS,
    )
    def post(self, request: Request, workspace: str, identifier: UUID) -> Response:
        """Publish what was drafted, or submit it where a second person must approve."""
        body = valid(GrantSerializer, request)
        granted = access_requests.grant_request(
            actor=actor_of(request),
            request=self.found(request, workspace, identifier),
            **body,
        )
        return Response(_detail(granted))


class DeclineAccessView(_OneRequestView):
    """Declining."""

    required_scopes: ClassVar[RequiredScopes] = {"POST": Scope.CATALOG_WRITE}

    @extend_schema(
        operation_id="decline_access_request",
        request=DeclineSerializer,
        responses=AccessRequestDetailSerializer,
        tags=TAGS,
    )
    def post(self, request: Request, workspace: str, identifier: UUID) -> Response:
        """Say no, with the reason that who asked will read."""
        body = valid(DeclineSerializer, request)
        declined = access_requests.decline_request(
            actor=actor_of(request),
            request=self.found(request, workspace, identifier),
            reason=body["reason"],
        )
        return Response(_detail(declined))


class WithdrawAccessView(_OneRequestView):
    """Withdrawing."""

    required_scopes: ClassVar[RequiredScopes] = {"POST": Scope.CATALOG_READ}

    @extend_schema(
        operation_id="withdraw_access_request",
        request=None,
        responses=AccessRequestDetailSerializer,
        tags=TAGS,
    )
    def post(self, request: Request, workspace: str, identifier: UUID) -> Response:
        """Take one's own request back."""
        withdrawn = access_requests.withdraw_request(
            actor=actor_of(request), request=self.found(request, workspace, identifier)
        )
        return Response(_detail(withdrawn))


def _detail(request: AccessRequest) -> dict[str, Any]:
    drafts: list[access_requests.Draft] = []
    obstacle = ""
    if request.state == RequestState.OPEN:
        try:
            drafts = access_requests.drafts_of(request)
        except Problem as problem:
            obstacle = f"{problem.detail} {problem.hint}".strip()
    context = {
        "labels": access_requests.labels_of([request]),
        "drafts": drafts,
        "obstacle": obstacle,
    }
    return dict(AccessRequestDetailSerializer(request, context=context).data)
