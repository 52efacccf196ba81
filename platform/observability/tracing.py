"""Traces from a request to the engine that answered it: OpenTelemetry where it is asked for.

Off, a span costs a function call: nothing of OpenTelemetry is even imported. Spans hold names,
sizes, codes and ids; never SQL, rows, addresses or what an exception said.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from importlib.util import find_spec
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

import structlog

if TYPE_CHECKING:
    from observability.spans import Tracer

Attribute = str | int | float | bool
ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
INSTALL = "pip install 'upend-server[observability]'"

log = structlog.get_logger(__name__)


class Span(Protocol):
    """What code inside a span may do with it."""

    def note(self, **attributes: Attribute) -> None:
        """Add what became known meanwhile."""

    def failed(self, code: str) -> None:
        """Mark the span as an error with a stable code."""

    def event(self, name: str, **attributes: Attribute) -> None:
        """Mark a moment."""

    @property
    def trace_id(self) -> str:
        """Return the id of the trace in hexadecimal; empty where none is made."""


class _NoSpan:
    """What a span is while traces are off."""

    trace_id = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pass

    def note(self, **attributes: Attribute) -> None:
        """Do nothing."""

    def failed(self, code: str) -> None:
        """Do nothing."""

    def event(self, name: str, **attributes: Attribute) -> None:
        """Do nothing."""


NO_SPAN = _NoSpan()
_tracer: list[Tracer] = []


def is_wanted() -> bool:
    """Tell whether the environment asks for traces: `UPEND_TRACES`, else an OTLP endpoint."""
    said = os.environ.get("UPEND_TRACES", "").lower()
    if said in {"0", "off", "false", "no"}:
        return False
    return bool(said) or any(os.environ.get(name) for name in ENDPOINTS)


def start(service: str) -> None:
    """Send this process's spans by OTLP as `service`, where traces are wanted."""
    if not is_wanted() or _tracer:
        return
    if find_spec("opentelemetry.sdk") is None or find_spec("opentelemetry.exporter") is None:
        log.warning("traces_not_installed", remedy=INSTALL)
        return
    from observability import spans  # noqa: PLC0415 - the extra is optional, and costs 40 MB

    use(spans.exporting(service))


def use(tracer: Tracer | None) -> None:
    """Make spans with `tracer` from now on; None makes none."""
    _tracer[:] = [tracer] if tracer else []


def stop() -> None:
    """Send what is still waiting and make no more spans."""
    for tracer in _tracer:
        tracer.close()
    _tracer.clear()


def span(name: str, **attributes: Attribute) -> AbstractContextManager[Span]:
    """Return a span around a piece of work, within the one that is open."""
    return _tracer[0].span(name, attributes) if _tracer else NO_SPAN


def entering(
    name: str, carrier: Mapping[str, str], **attributes: Attribute
) -> AbstractContextManager[Span]:
    """Return a span that continues what `carrier` says (W3C Trace Context), or begins a trace."""
    return _tracer[0].entering(name, carrier, attributes) if _tracer else NO_SPAN


def past(name: str, since: float, until: float, **attributes: Attribute) -> None:
    """Add a span, within the one that is open, that lies between two Unix times."""
    if _tracer:
        _tracer[0].past(name, since, until, attributes)


def failed(code: str) -> None:
    """Mark the open span as an error with a stable code."""
    if _tracer:
        _tracer[0].failed(code)


def carried() -> dict[str, str]:
    """Return what lets another process continue the open trace: `traceparent`, or nothing."""
    return _tracer[0].carried() if _tracer else {}
