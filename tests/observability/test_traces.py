"""Traces: one from the request to the engine, by real spans; nothing of the data in them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator

import pytest
from django.test import Client
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from accounts.domain import Actor
from execution import observed
from execution.engine.domain import Outcome
from execution.models import Query
from observability import steps, tracing
from observability.spans import Tracer
from problems import NotFound
from tests.execution.rows import make_query
from workspaces.models import Workspace

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


@pytest.fixture
def spans() -> Generator[Callable[[], dict[str, ReadableSpan]]]:
    """Trace into memory, and return a reader of the ended spans by name."""
    memory = InMemorySpanExporter()
    tracing.use(Tracer("upend-test", SimpleSpanProcessor(memory)))
    yield lambda: {span.name: span for span in memory.get_finished_spans()}
    tracing.use(None)


Spans = Callable[[], dict[str, ReadableSpan]]


def trace_of(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.trace_id:032x}"


def test_it_continues_the_trace_of_the_caller(spans: Spans, db: None) -> None:
    Client().get("/api/v1/me", headers={"traceparent": PARENT})
    [span] = spans().values()
    assert trace_of(span) == TRACE
    assert span.attributes is not None
    assert span.attributes["http.route"] == "api/v1/me"


@pytest.mark.parametrize("parent", ["", "nonsense", f"00-{'0' * 32}-00f067aa0ba902b7-01"])
def test_it_begins_a_trace_where_the_caller_has_none(spans: Spans, db: None, parent: str) -> None:
    Client().get("/api/v1/me", headers={"traceparent": parent})
    [span] = spans().values()
    assert trace_of(span) not in {TRACE, "0" * 32}


def test_it_traces_a_query_from_its_request_to_its_engine(
    spans: Spans, analyst: Actor, workspace: Workspace, signed_in: Callable[[Actor], Client]
) -> None:
    answer = signed_in(analyst).post(
        f"/api/v1/workspaces/{workspace.slug}/queries",
        data=json.dumps({"sql": "SELECT 41 + 1 AS answer", "place": "server"}),
        content_type="application/json",
        headers={"traceparent": PARENT},
    )
    assert answer.status_code in {201, 202}, answer.content
    query = Query.objects.get(id=answer.json()["id"])
    assert query.execution["traceparent"].split("-")[1] == TRACE
    with observed.run(query, attempt=1), steps.run("engine"):
        observed.engine(
            Outcome((), 1, 8, False, 0, 0.02, attach_seconds=0.01, first_row_seconds=0.015)
        )
    found = spans()
    planned = {"plan gate", "plan resolve", "plan decide", "plan bind", "plan estimate"}
    assert planned | {"plan", "plan place", "run", "run engine", "engine attach"} <= set(found)
    assert {trace_of(span) for span in found.values()} == {TRACE}
    assert "answer" not in " ".join(span.to_json() for span in found.values())


def test_it_marks_a_failure_by_its_code_and_not_by_its_words(
    spans: Spans, analyst: Actor, workspace: Workspace
) -> None:
    query = make_query(workspace, analyst)
    with (
        pytest.raises(NotFound),
        observed.run(query, attempt=2),
        steps.run("engine"),
    ):
        raise NotFound("alice@example.com is not there")
    for name in ("run", "run engine"):
        span = spans()[name]
        assert span.status.description == "not-found"
        assert "alice" not in span.to_json()


def test_it_makes_no_span_while_traces_are_off(analyst: Actor, workspace: Workspace) -> None:
    query = make_query(workspace, analyst)
    with observed.run(query, attempt=1), steps.run("engine") as span:
        assert span is tracing.NO_SPAN
        assert tracing.carried() == {}


def test_it_places_what_is_past_where_it_was(spans: Spans) -> None:
    now = time.time()
    with tracing.span("outer"):
        tracing.past("waited", now - 2, now - 1)
    waited = spans()["waited"]
    assert waited.end_time is not None
    assert waited.start_time is not None
    assert waited.end_time - waited.start_time == pytest.approx(1e9, rel=0.01)
