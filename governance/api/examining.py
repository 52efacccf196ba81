"""What is wrong with a policy and what its tests come to, asked before it holds."""

from __future__ import annotations

from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.bodies import valid
from api.permissions import RequiredScopes, actor_of
from governance import examination
from governance import services as governance
from governance.api.policies import TAGS, policy_of
from governance.api.requests import (
    NewPolicyCheckSerializer,
    PolicyCheckSerializer,
    PolicyExaminationSerializer,
)
from governance.api.steps import WRITING, open_number
from governance.domain import Action, PolicyKind
from governance.models import Policy, PolicyVersion
from governance.policy_selectors import find_version
from governance.scopes import named_scope, scope_of
from workspaces.selectors import find_workspace


class CheckNewView(APIView):
    """A text that is not saved."""

    required_scopes: ClassVar[RequiredScopes] = WRITING

    @extend_schema(
        operation_id="check_new_policy",
        request=NewPolicyCheckSerializer,
        responses=PolicyExaminationSerializer,
        tags=TAGS,
    )
    def post(self, request: Request, workspace: str) -> Response:
        """Say what is wrong with a text, and what its tests come to, without saving it."""
        actor = actor_of(request)
        where = find_workspace(actor, workspace)
        given = valid(NewPolicyCheckSerializer, request)
        scope = named_scope(actor, where, given["on"])
        governance.authorize(actor, Action.POLICY_AUTHOR, scope)
        policy = Policy(
            workspace=where,
            name=given["name"],
            kind=PolicyKind(given["kind"]),
            scope_key=scope.key,
            scope_label=scope.label,
        )
        version = PolicyVersion(
            policy=policy, number=1, text=given.get("text", ""), tests=given.get("tests", [])
        )
        return Response(examination.examine(version, actor=actor).as_dict())


class CheckView(APIView):
    """What is found in a policy."""

    required_scopes: ClassVar[RequiredScopes] = WRITING

    @extend_schema(
        operation_id="check_policy",
        request=PolicyCheckSerializer,
        responses=PolicyExaminationSerializer,
        tags=TAGS,
    )
    def post(self, request: Request, workspace: str, policy: str) -> Response:
        """Say what is wrong with the text sent, or the open one, and what its tests come to."""
        return Response(_examined(request, workspace, policy).as_dict())


class TestView(APIView):
    """What a policy's tests come to."""

    __test__ = False  # pytest collects whatever is called Test
    required_scopes: ClassVar[RequiredScopes] = WRITING

    @extend_schema(
        operation_id="test_policy",
        request=PolicyCheckSerializer,
        responses=PolicyExaminationSerializer,
        tags=TAGS,
    )
    def post(self, request: Request, workspace: str, policy: str) -> Response:
        """Run the tests sent, or those beside the open text, as if it were in force."""
        return Response(_examined(request, workspace, policy).as_dict())


def _examined(request: Request, workspace: str, policy: str) -> examination.Examination:
    actor, _, found = policy_of(request, workspace, policy)
    governance.authorize(actor, Action.POLICY_AUTHOR, scope_of(found))
    given = valid(PolicyCheckSerializer, request)
    newest = find_version(found, open_number(found) or found.versions.values_list("number")[0][0])
    newest.text, newest.references = given.get("text", examination.shown_text(newest)), []
    newest.tests = given.get("tests", examination.shown_tests(newest))
    return examination.examine(newest, actor=actor)
