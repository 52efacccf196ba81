"""The steps of a policy's life: drafted, checked, reviewed, published, retired, rolled back."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.domain import Scope
from api.bodies import valid
from api.permissions import RequiredScopes
from governance.api.policies import TAGS, policy_of, version_detail
from governance.api.requests import (
    PolicyDraftSerializer,
    PolicyEndSerializer,
    PolicyPublishSerializer,
    PolicyRollBackSerializer,
    PolicyStepSerializer,
)
from governance.api.serializers import PolicyVersionSerializer
from governance.domain import VersionState
from governance.models import Policy
from governance.policy_selectors import find_version
from governance.services import policies
from problems import Conflict, Problem

WRITING: RequiredScopes = {"POST": Scope.CATALOG_WRITE}
IF_MATCH = OpenApiParameter(
    "If-Match",
    location=OpenApiParameter.HEADER,
    required=True,
    description="The `etag` of the version that you read.",
)


class PreconditionMissing(Problem):
    """The request does not say which text its sender saw (RFC 6585 §3)."""

    code = "if-match-required"
    status = 428
    title = "Say which text you changed"


class NothingOpen(Conflict):
    """The policy has no draft and nothing in review."""

    code = "policy-has-nothing-open"
    title = "The policy has no open version"


class DraftsView(APIView):
    """The next version of a policy."""

    required_scopes: ClassVar[RequiredScopes] = WRITING

    @extend_schema(
        operation_id="draft_policy_version",
        request=PolicyDraftSerializer,
        responses={201: PolicyVersionSerializer},
        tags=TAGS,
    )
    def post(self, request: Request, workspace: str, policy: str) -> Response:
        """Open the next version; what is left out is as in the version in force."""
        actor, _, found = policy_of(request, workspace, policy)
        given = valid(PolicyDraftSerializer, request)
        version = policies.draft_version(actor=actor, policy=found, **given)
        return version_detail(actor, version, status.HTTP_201_CREATED)


class VersionView(APIView):
    """One version of a policy."""

    required_scopes: ClassVar[RequiredScopes] = {
        "GET": Scope.CATALOG_READ,
        "PATCH": Scope.CATALOG_WRITE,
        "DELETE": Scope.CATALOG_WRITE,
    }

    @extend_schema(operation_id="get_policy_version", responses=PolicyVersionSerializer, tags=TAGS)
    def get(self, request: Request, workspace: str, policy: str, number: int) -> Response:
        """Return a version with its text."""
        actor, _, found = policy_of(request, workspace, policy)
        return version_detail(actor, find_version(found, number))

    @extend_schema(
        operation_id="change_policy_draft",
        parameters=[IF_MATCH],
        request=PolicyDraftSerializer,
        responses=PolicyVersionSerializer,
        tags=TAGS,
    )
    def patch(self, request: Request, workspace: str, policy: str, number: int) -> Response:
        """Change a draft. 412 with both texts where somebody else changed it meanwhile."""
        actor, _, found = policy_of(request, workspace, policy)
        version = policies.change_draft(
            actor=actor,
            policy=found,
            number=number,
            expected=_if_match(request),
            **valid(PolicyDraftSerializer, request),
        )
        return version_detail(actor, version)

    @extend_schema(
        operation_id="discard_policy_draft", parameters=[IF_MATCH], responses={204: None}, tags=TAGS
    )
    def delete(self, request: Request, workspace: str, policy: str, number: int) -> Response:
        """Discard a draft; a policy that has nothing else is deleted with it."""
        actor, _, found = policy_of(request, workspace, policy)
        policies.discard_draft(
            actor=actor, policy=found, number=number, expected=_if_match(request)
        )
        return Response(status=status.HTTP_204_NO_CONTENT)


class SubmitView(APIView):
    """Asking for review."""

    required_scopes: ClassVar[RequiredScopes] = WRITING

    @extend_schema(
        operation_id="submit_policy",
        parameters=[IF_MATCH],
        request=PolicyStepSerializer,
        responses=PolicyVersionSerializer,
        tags=TAGS,
    )
    def post(self, request: Request, workspace: str, policy: str) -> Response:
        """Submit the draft for review; its text is fixed from then on."""
        actor, _, found = policy_of(request, workspace, policy)
        given = valid(PolicyStepSerializer, request)
        version = policies.submit_version(
            actor=actor,
            policy=found,
            number=_number(found, given),
            expected=_if_match(request),
            reason=given["reason"],
        )
        return version_detail(actor, version)


class ApproveView(APIView):
    """A second person's yes."""

    required_scopes: ClassVar[RequiredScopes] = WRITING

    @extend_schema(
        operation_id="approve_policy",
        request=PolicyStepSerializer,
        responses=PolicyVersionSerializer,
        tags=TAGS,
    )
    def post(self, request: Request, workspace: str, policy: str) -> Response:
        """Approve what is in review, as someone who had no hand in it."""
        actor, _, found = policy_of(request, workspace, policy)
        given = valid(PolicyStepSerializer, request)
        version = policies.approve_version(
            actor=actor, policy=found, number=_number(found, given), reason=given["reason"]
        )
        return version_detail(actor, version)


class RejectView(APIView):
    """A second person's no."""

    required_scopes: ClassVar[RequiredScopes] = WRITING

    @extend_schema(
        operation_id="reject_policy",
        request=PolicyStepSerializer,
        responses=PolicyVersionSerializer,
        tags=TAGS,
    )
    def post(self, request: Request, workspace: str, policy: str) -> Response:
        """Reject what is in review, or withdraw one's own, with a reason."""
        actor, _, found = policy_of(request, workspace, policy)
        given = valid(PolicyStepSerializer, request)
        version = policies.reject_version(
            actor=actor, policy=found, number=_number(found, given), reason=given["reason"]
        )
        return version_detail(actor, version)


class PublishView(APIView):
    """Coming into force."""

    required_scopes: ClassVar[RequiredScopes] = WRITING

    @extend_schema(
        operation_id="publish_policy",
        parameters=[IF_MATCH],
        request=PolicyPublishSerializer,
        responses=PolicyVersionSerializer,
        tags=TAGS,
    )
    def post(self, request: Request, workspace: str, policy: str) -> Response:
        """Bring the open version into force. 422 with findings and tests where it is not fit."""
        actor, _, found = policy_of(request, workspace, policy)
        given = valid(PolicyPublishSerializer, request)
        version = policies.publish_policy(
            actor=actor,
            policy=found,
            number=_number(found, given),
            expected=_if_match(request),
            reason=given["reason"],
            break_glass=given["break_glass"],
        )
        return version_detail(actor, version)


class RetireView(APIView):
    """Ending a policy."""

    required_scopes: ClassVar[RequiredScopes] = WRITING

    @extend_schema(
        operation_id="retire_policy",
        request=PolicyEndSerializer,
        responses=PolicyVersionSerializer,
        tags=TAGS,
    )
    def post(self, request: Request, workspace: str, policy: str) -> Response:
        """End a policy; where a second person must agree, the answer is a version in review."""
        actor, _, found = policy_of(request, workspace, policy)
        version = policies.retire_policy(
            actor=actor, policy=found, **valid(PolicyEndSerializer, request)
        )
        return version_detail(actor, version)


class RollBackView(APIView):
    """Going back to an earlier text."""

    required_scopes: ClassVar[RequiredScopes] = WRITING

    @extend_schema(
        operation_id="roll_back_policy",
        request=PolicyRollBackSerializer,
        responses=PolicyVersionSerializer,
        tags=TAGS,
    )
    def post(self, request: Request, workspace: str, policy: str) -> Response:
        """Bring an earlier version's text into force again, as a new version."""
        actor, _, found = policy_of(request, workspace, policy)
        version = policies.roll_back_policy(
            actor=actor, policy=found, **valid(PolicyRollBackSerializer, request)
        )
        return version_detail(actor, version)


def _if_match(request: Request) -> str:
    """Return the etag that a request names. Raises `PreconditionMissing`."""
    given = request.headers.get("If-Match", "").strip().removeprefix("W/").strip('"')
    if not given:
        raise PreconditionMissing(
            "This step is about the text that you read.",
            hint="Send its `etag` as If-Match; reading the version gives it.",
        )
    return given


def _number(policy: Policy, given: dict[str, Any]) -> int:
    number: int | None = given.get("number") or open_number(policy)
    if number is None:
        raise NothingOpen(
            f"{policy.name} has no draft and nothing in review.",
            hint="Open the next version first: POST …:draft.",
        )
    return number


def open_number(policy: Policy) -> int | None:
    """Return the number of what is open of the policy, None where nothing is."""
    states = (VersionState.DRAFT, VersionState.IN_REVIEW)
    numbers = policy.versions.filter(state__in=states).values_list("number", flat=True)
    return numbers.first()
