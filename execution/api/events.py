"""`/queries/{id}/events`: a query's progress as server-sent events, until its end."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any, ClassVar
from uuid import UUID

import structlog
from django.db import DatabaseError
from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts.domain import Scope
from api.authentication import is_still_valid
from api.permissions import RequiredScopes, actor_of
from execution import following
from execution.api.preferences import peer_of
from execution.api.queries import query_of
from execution.api.serializers import QuerySerializer
from execution.following import Step
from problems import Problem

RETRY_MILLISECONDS = 1000
BUSY_RETRY_MILLISECONDS = 3000
DESCRIPTION = """\
`text/event-stream` as browsers know it (WHATWG HTML, server-sent events). Two kinds of event:

- `progress`: `{state, percent, rows, bytes, bytes_read, elapsed_seconds, attempts, queue}`, \
whenever one changes, up to five times a second. `rows` and `bytes` are those of the result so \
far, `bytes_read` came from the bucket so far; `queue` is \
`{position, ahead, expected_wait_seconds}` while the query waits for a worker, else null.
- `end`: the query as `GET /queries/{id}` answers it. The stream is then over: close it.

A comment comes every 15 seconds where nothing changes. The first event says where the query \
stands, so a stream that broke is resumed by opening it again, with or without `Last-Event-ID`. \
The server ends a stream when access ends, after five minutes, and after the first event when \
very many are open: open it again as `retry` says.
"""

log = structlog.get_logger(__name__)


class EventStreamRenderer(BaseRenderer):
    """Makes the view answer to `Accept: text/event-stream`; refusals are problems as ever."""

    media_type = "text/event-stream"
    format = "event-stream"

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None
    ) -> bytes:
        """Return a refusal: events are streamed and never come here."""
        rendered: bytes = JSONRenderer().render(data, accepted_media_type, renderer_context)
        return rendered


class QueryEventsView(APIView):
    """What happens to one query."""

    renderer_classes = [EventStreamRenderer]
    required_scopes: ClassVar[RequiredScopes] = {"GET": Scope.QUERY_RUN}

    @extend_schema(
        operation_id="follow_query",
        description=DESCRIPTION,
        parameters=[OpenApiParameter("Last-Event-ID", OpenApiTypes.STR, OpenApiParameter.HEADER)],
        responses={(200, "text/event-stream"): OpenApiResponse(OpenApiTypes.STR, "Events")},
        tags=["queries"],
    )
    def get(self, request: Request, workspace: str, query_id: UUID) -> StreamingHttpResponse:
        """Follow a query: its progress as it happens, then its end."""
        query_of(request, workspace, query_id)
        response = StreamingHttpResponse(
            events(request, workspace, query_id), content_type="text/event-stream"
        )
        response["Cache-Control"] = "no-store"
        response["X-Accel-Buffering"] = "no"  # nginx would keep small events for a larger packet
        return response


def events(request: Request, workspace: str, query_id: UUID) -> Iterator[bytes]:
    """Yield the stream's text; a database that is away ends it, and followers come again."""

    def is_allowed() -> bool:
        try:
            query_of(request, workspace, query_id)
        except Problem:
            return False
        return is_still_valid(request)

    steps = following.follow(query_id, is_allowed=is_allowed, peer=peer_of(request))
    try:
        for step in steps:
            yield _event(request, workspace, query_id, step)
    except (DatabaseError, Problem) as error:
        log.warning("events_ended", query_id=str(query_id), error=type(error).__name__)
    finally:
        steps.close()  # type: ignore[attr-defined]  # a generator: gives its place back now


def _event(request: Request, workspace: str, query_id: UUID, step: Step) -> bytes:
    if step.standing is None:
        return b": still here\n\n"
    if step.is_end:
        query = query_of(request, workspace, query_id)
        document = QuerySerializer(query, context={"actor": actor_of(request)}).data
        return _text("end", JSONRenderer().render(document))
    retry = BUSY_RETRY_MILLISECONDS if step.has_no_room else RETRY_MILLISECONDS
    return _text("progress", json.dumps(step.standing.as_dict()).encode(), retry)


def _text(kind: str, data: bytes, retry: int = RETRY_MILLISECONDS) -> bytes:
    """Return one event; `data` is JSON on one line."""
    head = f"id: {time.time_ns() // 1_000_000}\nretry: {retry}\nevent: {kind}\ndata: "
    return head.encode() + data + b"\n\n"
