"""Times a step of the work: one line around it feeds a histogram and, where on, a trace."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from prometheus_client import Histogram

from observability import metrics, tracing


class Step:
    """Measures what runs inside it, however that ends. `name` is one of a fixed list."""

    __slots__ = ("_began", "_kind", "_name", "_seconds", "_span")

    def __init__(self, seconds: Histogram, kind: str, name: str) -> None:
        self._seconds, self._kind, self._name = seconds, kind, name

    def __enter__(self) -> tracing.Span:
        """Begin."""
        self._span = tracing.span(f"{self._kind} {self._name}")
        span = self._span.__enter__()
        self._began = time.perf_counter()
        return span

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End."""
        self._seconds.labels(self._name).observe(time.perf_counter() - self._began)
        self._span.__exit__(kind, error, traceback)


def plan(name: str) -> Step:
    """Time one step of planning: gate, resolve, decide, bind, estimate, extracts or place."""
    return Step(metrics.PLAN_STEP_SECONDS, "plan", name)


@contextmanager
def whole_plan() -> Iterator[None]:
    """Time planning as a whole, by whether a plan came out."""
    began, outcome = time.perf_counter(), "refused"
    try:
        with tracing.span("plan"):
            yield
        outcome = "planned"
    finally:
        metrics.PLAN_SECONDS.labels(outcome).observe(time.perf_counter() - began)


def run(name: str) -> Step:
    """Time one step of a server run: slice, engine, upload or finish; see also `queued`."""
    return Step(metrics.RUN_STEP_SECONDS, "run", name)


def queued(since: float, until: float) -> None:
    """Note that a run waited for its turn between two Unix times."""
    metrics.RUN_STEP_SECONDS.labels("queue").observe(max(0.0, until - since))
    tracing.past("run queue", since, until)
