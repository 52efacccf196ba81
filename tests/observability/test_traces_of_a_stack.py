"""One trace through a whole running Upend, as an OTLP collector receives it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from embedded.running import RunningStack
from tests.patience import until
from tests.stack import manage

pytestmark = pytest.mark.stack
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
WANTED = {"plan", "plan bind", "run", "run queue", "run engine", "engine attach", "engine run"}
SET_UP = """
from datetime import timedelta
from django.utils import timezone
from accounts import services as accounts
from accounts.domain import SYSTEM, Scope
from workspaces import services as workspaces
from workspaces.domain import WorkspaceRole
air = accounts.create_organization(actor=SYSTEM, name="Air", slug="air")
ops = workspaces.create_workspace(actor=SYSTEM, organization=air, name="Ops", slug="ops")
boss = accounts.create_user(
    actor=SYSTEM, organization=air, email="b@air.example", password="a-duck-upends-to-feed"
)
workspaces.grant_membership(actor=SYSTEM, workspace=ops, principal=boss, role=WorkspaceRole.OWNER)
print(accounts.create_token(
    actor=SYSTEM, owner=boss, name="t", scopes=frozenset(Scope),
    expires_at=timezone.now() + timedelta(days=1),
).text)
"""


class Collector:
    """A tiny OTLP/HTTP receiver: the names of the spans by their trace, and by who sent them."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, str, str]] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.take(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, request: ExportTraceServiceRequest) -> None:
        for resource in request.resource_spans:
            [service] = [
                a.value.string_value
                for a in resource.resource.attributes
                if a.key == "service.name"
            ]
            for scope in resource.scope_spans:
                self.spans += [(s.trace_id.hex(), service, s.name) for s in scope.spans]

    def names(self, trace: str) -> set[str]:
        return {name for found, _, name in self.spans if found == trace}


@pytest.fixture
def collector() -> Generator[Collector]:
    """Receive spans."""
    made = Collector()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def traced(
    collector: Collector, installation_directory: Callable[[], Path]
) -> Generator[RunningStack]:
    """Start an Upend that sends its spans there, and logs as machines like it."""
    given = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "UPEND_LOG_FORMAT": "json",
    }
    running = RunningStack(installation_directory(), given)
    running.start()
    yield running
    running.stop()


def test_it_traces_counts_and_logs_one_query_through_all_processes(
    traced: RunningStack, collector: Collector
) -> None:
    token = manage(traced, "shell", "-v", "0", "-c", SET_UP).strip().splitlines()[-1]
    api = httpx.Client(base_url=f"{traced.url}/api/v1/workspaces/ops", timeout=60)
    headers = {
        "Authorization": f"Bearer {token}",
        "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01",
        "X-Request-Id": "the-duck-s-request",
        "Prefer": "wait=30",
    }
    with api:
        answer = api.post("/queries", json={"sql": "SELECT 42 AS n"}, headers=headers)
    assert answer.json()["state"] == "succeeded", answer.text
    until(lambda: collector.names(TRACE) >= WANTED, "not all spans came")
    senders = {service for trace, service, _ in collector.spans if trace == TRACE}
    assert senders == {"upend-web", "upend-worker"}

    ended = 'upend_queries_ended_total{place="server",priority="interactive",state="succeeded"}'
    wanted = {
        f"{ended} 1.0",
        'upend_run_step_duration_seconds_count{step="engine"} 1.0',
        'upend_plan_duration_seconds_count{outcome="planned"} 1.0',
    }

    def counted() -> set[str]:  # whichever web process answers
        return set(httpx.get(f"{traced.url}/metrics", timeout=60).text.splitlines())

    until(lambda: wanted <= counted(), "not all was counted")
    assert any(line.startswith("upend_engines_spare") for line in counted())

    def is_ready() -> bool:
        health = httpx.get(f"{traced.url}/health/ready", timeout=60).json()
        return bool(health["status"] == "ready")

    until(is_ready, "it did not become ready")
    [line] = until(lambda: lines_of_request(traced), "nothing was logged")
    assert TRACE in line
    assert token not in traced.log.read_text()


def lines_of_request(traced: RunningStack) -> list[str]:
    """Return what was logged of the request itself."""
    logged = traced.log.read_text().splitlines()
    return [part for part in logged if "the-duck-s-request" in part and '"request"' in part]
