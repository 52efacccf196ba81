"""One trace through a whole running Upend, as an OTLP collector receives it."""

from __future__ import annotations

import httpx
import pytest

from embedded.running import RunningStack
from tests.observability.collector import Collector
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


def test_it_traces_counts_and_logs_one_query_through_all_processes(
    spare: RunningStack, collector: Collector
) -> None:
    token = manage(spare, "shell", "-v", "0", "-c", SET_UP).strip().splitlines()[-1]
    api = httpx.Client(base_url=f"{spare.url}/api/v1/workspaces/ops", timeout=60)
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
        return set(httpx.get(f"{spare.url}/metrics", timeout=60).text.splitlines())

    until(lambda: wanted <= counted(), "not all was counted")
    assert any(line.startswith("upend_engines_spare") for line in counted())

    def is_ready() -> bool:
        health = httpx.get(f"{spare.url}/health/ready", timeout=60).json()
        return bool(health["status"] == "ready")

    until(is_ready, "it did not become ready")
    [line] = until(lambda: lines_of_request(spare), "nothing was logged")
    assert TRACE in line
    assert token not in spare.log.read_text()


def lines_of_request(stack: RunningStack) -> list[str]:
    """Return what was logged of the request itself."""
    logged = stack.log.read_text().splitlines()
    return [part for part in logged if "the-duck-s-request" in part and '"request"' in part]
