"""`/plans` and `/queries`: what would run, what runs, and how to stop it."""

from __future__ import annotations

import base64
from typing import Any, ClassVar
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import generics, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from accounts.domain import Scope
from accounts.models import User
from api.permissions import RequiredScopes, actor_of
from catalog.api.governance import AS, viewed_as
from execution import selectors, services
from execution.api.preferences import PREFER, wait_if_preferred
from execution.api.serializers import (
    PlanSerializer,
    QueryRequestSerializer,
    QuerySerializer,
    SubmissionSerializer,
)
from execution.asked import MAX_PURPOSE_LENGTH
from execution.authorization import PoliciesChanged
from execution.domain import QueryState, ResultFormat
from execution.models import Query
from execution.services.results import (
    NoResult,
    ResultExpired,
    ResultNotReady,
    check_readable,
)
from execution.services.viewing import explain_query_as
from governance.services import AccessDenied
from problems import Invalid
from workspaces.selectors import find_workspace

RUN: RequiredScopes = {"GET": Scope.QUERY_RUN, "POST": Scope.QUERY_RUN}
MAX_KEY_CHARACTERS = 120
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="The same key with the same request returns the query it made before.",
)


INCLUDE = OpenApiParameter(
    "include",
    OpenApiTypes.STR,
    description="Reads the result of an ended query with it. `result`: the rows, where they are "
    "few and came a moment ago. `result_url`: where they lie, unless they are in the answer.",
)


PURPOSE = OpenApiParameter(
    "Upend-Purpose",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="What it is for, where the body does not say.",
)


class PlansView(APIView):
    """Plans: nothing runs."""

    required_scopes: ClassVar[RequiredScopes] = {"POST": Scope.QUERY_RUN}

    @extend_schema(
        operation_id="plan_query",
        request=QueryRequestSerializer,
        parameters=[PURPOSE, AS],
        responses=PlanSerializer,
        tags=["queries"],
    )
    def post(self, request: Request, workspace: str) -> Response:
        """Say what the query would touch and cost, whether it may, and where it would run."""
        actor = actor_of(request)
        where = find_workspace(actor, workspace)
        given = QueryRequestSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        asked = asked_of(request, given)
        if not (name := request.query_params.get("as", "")):
            plan = services.explain_query(actor=actor, workspace=where, **asked)
            return Response(plan.as_dict())
        viewed = explain_query_as(actor=actor, workspace=where, principal=name, **asked)
        return Response(viewed.plan.as_dict() | {"viewed_as": viewed_as(viewed.viewed_as)})


class QueriesView(generics.ListAPIView[Query]):
    """The workspace's queries."""

    serializer_class = QuerySerializer
    required_scopes: ClassVar[RequiredScopes] = RUN

    def get_queryset(self) -> QuerySet[Query]:
        """Return the actor's own queries; owners, stewards and auditors see all."""
        actor = actor_of(self.request)
        return selectors.queries_of(actor, find_workspace(actor, self.kwargs["workspace"]))

    @extend_schema(operation_id="list_queries", tags=["queries"])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """List queries, newest first."""
        return super().get(request, *args, **kwargs)

    @extend_schema(
        operation_id="submit_query",
        request=SubmissionSerializer,
        parameters=[INCLUDE, IDEMPOTENCY_KEY, PREFER, PURPOSE],
        responses={201: QuerySerializer, 200: OpenApiResponse(QuerySerializer, "Made before")},
        tags=["queries"],
    )
    def post(self, request: Request, workspace: str) -> Response:
        """Queue a query for the server, or delegate it to the device that asks.

        With `Prefer: wait=N` the answer comes with the end of a server run, if that is soon.
        """
        actor = actor_of(request)
        where = find_workspace(actor, workspace)
        given = SubmissionSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        submission = services.submit_query(
            actor=actor,
            workspace=where,
            idempotency_key=idempotency_key_of(request),
            reuse=given.validated_data["cache"] and not wants_fresh(request),
            **asked_of(request, given),
        )
        query, headers = submission.query, {}
        name_principal(request, query)
        context: dict[str, Any] = {"notice": submission.notice}
        document = QuerySerializer(query, context=context)
        begin(document)
        if query.state != QueryState.DELEGATED:  # whoever asks is then the one to run it
            headers = wait_if_preferred(request, query)
        if headers.get("Preference-Applied"):
            query = selectors.look_again(actor, query)
        context.update(result_of(request, query))  # the document's own
        code = status.HTTP_201_CREATED if submission.is_new else status.HTTP_200_OK
        return Response(document.data, status=code, headers=headers)


class QueryView(APIView):
    """One query."""

    required_scopes: ClassVar[RequiredScopes] = {"GET": Scope.QUERY_RUN}

    @extend_schema(
        operation_id="get_query",
        parameters=[PREFER, INCLUDE],
        responses=QuerySerializer,
        tags=["queries"],
    )
    def get(self, request: Request, workspace: str, query_id: UUID) -> Response:
        """Return a query: where it stands, how far it is, how it ended.

        With `Prefer: wait=N` the answer comes as soon as it has ended.
        """
        query = query_of(request, workspace, query_id)
        context: dict[str, Any] = {"actor": actor_of(request)}
        document = QuerySerializer(query, context=context)
        begin(document)
        headers = wait_if_preferred(request, query)
        if headers.get("Preference-Applied"):
            query = selectors.look_again(actor_of(request), query)
        context.update(result_of(request, query))  # the document's own
        return Response(document.data, headers=headers)


class QueryCancelView(APIView):
    """The wish to stop a query."""

    required_scopes: ClassVar[RequiredScopes] = {"POST": Scope.QUERY_RUN}

    @extend_schema(
        operation_id="cancel_query",
        request=None,
        responses={202: QuerySerializer},
        tags=["queries"],
    )
    def post(self, request: Request, workspace: str, query_id: UUID) -> Response:
        """Stop a query: at once where it waits, within half a second where it runs."""
        query = query_of(request, workspace, query_id)
        query = services.cancel_query(actor=actor_of(request), query=query)
        return Response(QuerySerializer(query).data, status=status.HTTP_202_ACCEPTED)


def asked_of(request: Request, given: QueryRequestSerializer) -> dict[str, Any]:
    """Return the services' arguments; a purpose may come as a header, and the body's wins."""
    arguments = given.arguments
    said = request.headers.get("Upend-Purpose", "").strip()
    if len(said) > MAX_PURPOSE_LENGTH or not said.isprintable():
        raise Invalid(
            f"A purpose has at most {MAX_PURPOSE_LENGTH} printable characters.",
            hint="Say it shorter, or in the body's field `purpose`.",
        )
    return arguments | {"purpose": arguments["purpose"] or said}


def query_of(request: Request, workspace: str, query_id: UUID) -> Query:
    """Return the query that an address names to the actor. Raises `NotFound`."""
    actor = actor_of(request)
    return selectors.find_query(actor, find_workspace(actor, workspace), query_id)


def result_of(request: Request, query: Query) -> dict[str, Any]:
    """Return the rows, or where they lie, where the request asks for it, there are some and it may.

    Saves the client the way to `/result` and its redirect. Either is reading the result: it is
    decided and recorded the same. To see the query is not to read its rows, so that a refusal
    leaves both empty.
    """
    wanted = request.query_params.get("include", "").split(",")
    actor, found = actor_of(request), {"result": "", "result_url": ""}
    try:
        if "result" in wanted and (rows := services.read_at_hand(actor=actor, query=query)):
            found["result"] = base64.b64encode(rows).decode()
        elif "result_url" in wanted:
            check_readable(query)  # before rights are decided: mostly there is nothing to read yet
            found["result_url"] = (
                services.locate(actor=actor, query=query, form=ResultFormat.ARROW) or ""
            )
    except (AccessDenied, PoliciesChanged, ResultNotReady, NoResult, ResultExpired):
        return {}
    return found


def begin(document: QuerySerializer) -> None:
    """Make the document's fields while others work on the query: most of what it costs."""
    for field in document.fields.values():
        part = getattr(field, "child", field)
        if isinstance(part, Serializer):
            _ = part.fields


def name_principal(request: Request, query: Query) -> None:
    """Spare a look at who asked for the query, where it is whoever asks now."""
    if isinstance(request.user, User) and request.user.id == query.user_id:
        query.user = request.user


def wants_fresh(request: Request) -> bool:
    """Tell whether the request asks not to be answered from a cache (RFC 9111, section 5.2.1)."""
    directives = request.headers.get("Cache-Control", "").lower().split(",")
    return any(directive.strip() in {"no-cache", "no-store"} for directive in directives)


def idempotency_key_of(request: Request) -> str:
    """Return the request's idempotency key, empty where it has none. Raises `Invalid`."""
    key = request.headers.get("Idempotency-Key", "").strip()
    if len(key) > MAX_KEY_CHARACTERS or not key.isprintable():
        raise Invalid(
            f"An idempotency key has at most {MAX_KEY_CHARACTERS} printable characters.",
            hint="A random UUID does well.",
        )
    return key
