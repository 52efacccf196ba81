"""Spans by the OpenTelemetry SDK; imported only where traces are on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from observability.tracing import Attribute

NANOSECONDS = 10**9
PROPAGATOR = TraceContextTextMapPropagator()


class OpenSpan:
    """A span of the SDK, as `observability.tracing.Span` promises it."""

    def __init__(self, inner: trace.Span) -> None:
        self._inner = inner

    def note(self, **attributes: Attribute) -> None:
        """Add what became known meanwhile."""
        self._inner.set_attributes(_named(attributes))

    def failed(self, code: str) -> None:
        """Mark the span as an error with a stable code."""
        self._inner.set_attribute("error.type", code)
        self._inner.set_status(trace.StatusCode.ERROR, code)

    def event(self, name: str, **attributes: Attribute) -> None:
        """Mark a moment."""
        self._inner.add_event(name, _named(attributes))

    @property
    def trace_id(self) -> str:
        """Return the id of the trace in hexadecimal."""
        return trace.format_trace_id(self._inner.get_span_context().trace_id)


class Tracer:
    """Makes spans and hands them to one processor."""

    def __init__(self, service: str, processor: SpanProcessor) -> None:
        named = os.environ.get("OTEL_SERVICE_NAME") or service
        resource = Resource.create({"service.name": named})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=True)
        self._provider.add_span_processor(processor)
        self._inner = self._provider.get_tracer("upend")

    @contextmanager
    def span(
        self, name: str, attributes: Mapping[str, Attribute], context: Context | None = None
    ) -> Iterator[OpenSpan]:
        """Return a span within the open one, or within `context`."""
        with self._inner.start_as_current_span(
            name,
            context,
            attributes=_named(attributes),
            record_exception=False,  # its words may hold values of the data
            set_status_on_exception=False,
        ) as inner:
            opened = OpenSpan(inner)
            try:
                yield opened
            except BaseException as error:
                opened.failed(str(getattr(error, "code", type(error).__name__)))
                raise

    @contextmanager
    def entering(
        self, name: str, carrier: Mapping[str, str], attributes: Mapping[str, Attribute]
    ) -> Iterator[OpenSpan]:
        """Return a span that continues the trace of `carrier`."""
        with self.span(name, attributes, PROPAGATOR.extract(carrier, Context())) as opened:
            yield opened

    def past(
        self, name: str, since: float, until: float, attributes: Mapping[str, Attribute]
    ) -> None:
        """Add a span between two Unix times."""
        start = int(since * NANOSECONDS)
        inner = self._inner.start_span(name, attributes=_named(attributes), start_time=start)
        inner.end(max(start, int(until * NANOSECONDS)))

    def failed(self, code: str) -> None:
        """Mark the open span as an error."""
        OpenSpan(trace.get_current_span()).failed(code)

    def carried(self) -> dict[str, str]:
        """Return the open span as a W3C `traceparent`."""
        carrier: dict[str, str] = {}
        PROPAGATOR.inject(carrier)
        return {name: carrier[name] for name in ("traceparent",) if name in carrier}

    def close(self) -> None:
        """Send what waits."""
        self._provider.shutdown()


def exporting(service: str) -> Tracer:
    """Return a tracer that sends to `OTEL_EXPORTER_OTLP_ENDPOINT` in the background."""
    return Tracer(service, BatchSpanProcessor(OTLPSpanExporter()))


def _named(attributes: Mapping[str, Attribute]) -> dict[str, Attribute]:
    """Put our own names into our own namespace; `http_route` becomes `http.route`."""
    return {
        name.replace("_", ".", 1) if name.startswith("http_") else f"upend.{name}": value
        for name, value in attributes.items()
    }
