"""`/access-reviews`: everyone's rights in a workspace, looked at one by one, with evidence."""

from __future__ import annotations

import csv
from typing import Any, ClassVar
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import generics, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.domain import Scope
from api.bodies import valid
from api.pagination import CursorPagination
from api.permissions import RequiredScopes, actor_of
from audit.export import without_formulas
from governance.domain import ReviewOutcome
from governance.models import AccessReview, AccessReviewItem
from governance.services import access_reviews
from workspaces.selectors import find_workspace

TAGS = ["access"]
OUTCOMES = [(outcome.value, outcome.name) for outcome in ReviewOutcome]


class AccessReviewSerializer(serializers.Serializer[AccessReview]):
    """A review, and how far it is."""

    id = serializers.UUIDField()
    title = serializers.CharField()
    started_by = serializers.EmailField(source="started_by.email")
    created_at = serializers.DateTimeField()
    due_at = serializers.DateTimeField(allow_null=True)
    closed_at = serializers.DateTimeField(allow_null=True)
    rights = serializers.IntegerField(help_text="How many rights it is about.")
    pending = serializers.IntegerField(help_text="How many of them nobody has looked at.")


class AccessReviewItemSerializer(serializers.Serializer[AccessReviewItem]):
    """One right, and what became of it."""

    id = serializers.UUIDField()
    source = serializers.ChoiceField(  # type: ignore[assignment]  # the stubs' Field.source
        choices=[(name, name) for name in (access_reviews.MEMBERSHIP, access_reviews.POLICY)]
    )
    holder = serializers.CharField()
    right = serializers.CharField()
    ends_at = serializers.DateTimeField(allow_null=True)
    outcome = serializers.ChoiceField(choices=OUTCOMES)
    reason = serializers.CharField()
    decided_by = serializers.EmailField(source="decided_by.email", allow_null=True, default=None)
    decided_at = serializers.DateTimeField(allow_null=True)


class NewAccessReviewSerializer(serializers.Serializer[Any]):
    """A review to start."""

    title = serializers.CharField(max_length=200)
    due_at = serializers.DateTimeField(required=False, default=None, allow_null=True)


class ReviewReasonSerializer(serializers.Serializer[Any]):
    """Why a right is kept or taken away."""

    reason = serializers.CharField(required=False, default="", allow_blank=True, max_length=2000)


class Newest(CursorPagination):
    """Reviews are read newest first."""

    ordering = "-created_at"


class ByHolder(CursorPagination):
    """Rights are read by whose they are."""

    ordering = ("source", "holder", "id")  # type: ignore[assignment]  # DRF takes both


class AccessReviewsView(generics.ListAPIView[AccessReview]):
    """The workspace's reviews of access."""

    serializer_class = AccessReviewSerializer
    pagination_class = Newest
    required_scopes: ClassVar[RequiredScopes] = {"GET": Scope.CATALOG_READ, "POST": Scope.ADMIN}

    def get_queryset(self) -> QuerySet[AccessReview]:
        """Return what the actor may read."""
        actor = actor_of(self.request)
        workspace = find_workspace(actor, self.kwargs["workspace"])
        return access_reviews.visible_reviews(actor, workspace)

    @extend_schema(operation_id="list_access_reviews", tags=TAGS)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """List reviews, newest first."""
        return super().get(request, *args, **kwargs)

    @extend_schema(
        operation_id="start_access_review",
        request=NewAccessReviewSerializer,
        responses={201: AccessReviewSerializer},
        tags=TAGS,
    )
    def post(self, request: Request, workspace: str) -> Response:
        """Write down every role and every permitting policy, to be confirmed or taken away."""
        actor = actor_of(request)
        place = find_workspace(actor, workspace)
        body = valid(NewAccessReviewSerializer, request)
        made = access_reviews.start_review(actor=actor, workspace=place, **body)
        shown = access_reviews.find_review(actor, place, made.id)
        return Response(AccessReviewSerializer(shown).data, status=status.HTTP_201_CREATED)


class AccessReviewItemsView(generics.ListAPIView[AccessReviewItem]):
    """The rights of one review."""

    serializer_class = AccessReviewItemSerializer
    pagination_class = ByHolder
    required_scopes: ClassVar[RequiredScopes] = {"GET": Scope.CATALOG_READ}

    def get_queryset(self) -> QuerySet[AccessReviewItem]:
        """Return the rights, with who decided."""
        return _review(self.request, **self.kwargs).items.select_related("decided_by")

    @extend_schema(operation_id="list_access_review_items", tags=TAGS)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """List the rights of a review: roles, then policies."""
        return super().get(request, *args, **kwargs)


class _OneRightView(APIView):
    """What is decided of one right."""

    required_scopes: ClassVar[RequiredScopes] = {"POST": Scope.ADMIN}

    def asked(
        self, request: Request, workspace: str, identifier: UUID, item: UUID
    ) -> tuple[dict[str, Any], AccessReviewItem]:
        """Return the reason as given, and the right that the address names."""
        found = access_reviews.find_item(_review(request, workspace, identifier), item)
        return valid(ReviewReasonSerializer, request), found


class ConfirmRightView(_OneRightView):
    """Keeping a right."""

    @extend_schema(
        operation_id="confirm_access",
        request=ReviewReasonSerializer,
        responses=AccessReviewItemSerializer,
        tags=TAGS,
    )
    def post(self, request: Request, workspace: str, identifier: UUID, item: UUID) -> Response:
        """Say that the right should stay."""
        given, found = self.asked(request, workspace, identifier, item)
        done = access_reviews.confirm_right(actor=actor_of(request), item=found, **given)
        return Response(AccessReviewItemSerializer(done).data)


class RevokeRightView(_OneRightView):
    """Taking a right away."""

    @extend_schema(
        operation_id="revoke_access",
        request=ReviewReasonSerializer,
        responses=AccessReviewItemSerializer,
        tags=TAGS,
    )
    def post(self, request: Request, workspace: str, identifier: UUID, item: UUID) -> Response:
        """Revoke the role, or retire the policy."""
        given, found = self.asked(request, workspace, identifier, item)
        done = access_reviews.revoke_right(actor=actor_of(request), item=found, **given)
        return Response(AccessReviewItemSerializer(done).data)


class CloseReviewView(APIView):
    """Closing a review."""

    required_scopes: ClassVar[RequiredScopes] = {"POST": Scope.ADMIN}

    @extend_schema(
        operation_id="close_access_review",
        request=None,
        responses=AccessReviewSerializer,
        tags=TAGS,
    )
    def post(self, request: Request, workspace: str, identifier: UUID) -> Response:
        """Close a review in which every right was looked at."""
        found = _review(request, workspace, identifier)
        access_reviews.close_review(actor=actor_of(request), review=found)
        return Response(AccessReviewSerializer(_review(request, workspace, identifier)).data)


class EvidenceView(APIView):
    """The evidence of a review."""

    required_scopes: ClassVar[RequiredScopes] = {"GET": Scope.CATALOG_READ}

    @extend_schema(
        operation_id="export_access_review",
        responses={(200, "text/csv"): OpenApiResponse(OpenApiTypes.STR)},
        tags=TAGS,
    )
    def get(self, request: Request, workspace: str, identifier: UUID) -> HttpResponse:
        """Return the review as CSV: each right, what became of it, by whom, when and why."""
        return evidence_file(_review(request, workspace, identifier))


def evidence_file(review: AccessReview) -> HttpResponse:
    """Return a review as a CSV file that no spreadsheet takes for formulas."""
    answer = HttpResponse(content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="access-review-{review.id}.csv"'
    lines = csv.writer(answer)
    for row in access_reviews.evidence(review):
        lines.writerow([without_formulas(cell) for cell in row])
    return answer


def _review(request: Request, workspace: str, identifier: UUID) -> AccessReview:
    actor = actor_of(request)
    return access_reviews.find_review(actor, find_workspace(actor, workspace), identifier)
