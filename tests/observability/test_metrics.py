"""Metrics: who may read them, what they count, and that several processes are seen as one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from django.conf import settings
from django.test import Client
from django.urls import resolve
from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.parser import text_string_to_metric_families

from accounts.domain import Actor
from execution import gauges, planning
from execution.gate import SqlRefused
from observability import metrics, server
from tests.cast import Cast
from tests.execution.queue import queue
from workspaces.models import Workspace

ROOT = Path(__file__).parents[2]
QUERIES = "/api/v1/workspaces/flight-ops/queries"
PAGE = ROOT / "docs/reference/metrics.md"


def value(name: str, **labels: str) -> float:
    """Return a sample of this process's registry; 0 where it was never counted."""
    return REGISTRY.get_sample_value(name, labels) or 0.0


def scraped(text: str) -> dict[str, float]:
    """Return samples by their name and labels, as Prometheus itself would read them."""
    return {
        sample.name + "".join(f"|{v}" for _, v in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_it_documents_every_metric_with_its_type_and_labels() -> None:
    defined = {
        m._name + ("_total" if isinstance(m, Counter) else ""): (
            m._type,
            ", ".join(f"`{label}`" for label in m._labelnames),
        )
        for m in vars(metrics).values()
        if isinstance(m, Counter | Gauge | Histogram)
    }
    defined |= {
        name: ("gauge", ", ".join(f"`{label}`" for label in gauges.LABELS.get(name, ())))
        for name in gauges.NAMES
    }
    rows = re.findall(
        r"^\| `(upend_\w+)` \| (\w+) \| ([^|]*?) ?\| \S", PAGE.read_text(), re.MULTILINE
    )
    assert {name: (kind, labels) for name, kind, labels in rows} == defined


def test_it_names_metrics_as_prometheus_asks() -> None:
    names = re.findall(r"^\| `(upend_\w+)` \| (\w+)", PAGE.read_text(), re.MULTILINE)
    for name, kind in names:
        assert (kind == "counter") == name.endswith("_total"), name
        assert kind != "histogram" or name.endswith("_seconds"), name


def test_it_answers_the_machine_itself(db: None) -> None:
    answer = Client().get("/metrics")
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/plain; version=")
    assert scraped(answer.content.decode())["upend_scrape_ok"] == 1


@pytest.mark.parametrize(
    "request_of",
    [
        {"REMOTE_ADDR": "192.0.2.7"},
        {"REMOTE_ADDR": ""},
        {"HTTP_X_FORWARDED_FOR": "192.0.2.7"},
        {"HTTP_FORWARDED": "for=192.0.2.7"},
    ],
    ids=["elsewhere", "unknown", "through a proxy", "through a modern proxy"],
)
def test_it_hides_from_everyone_else(request_of: dict[str, str]) -> None:
    assert Client().get("/metrics", **request_of).status_code == 404  # type: ignore[arg-type]


def test_it_asks_for_the_token_where_there_is_one(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "METRICS_TOKEN", "duck-weather")
    answer = Client().get("/metrics")
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"].startswith("Bearer")
    wrong = Client(headers={"Authorization": "Bearer duck-whether"}).get("/metrics")
    assert wrong.status_code == 401
    right = Client(headers={"Authorization": "Bearer duck-weather"})
    assert right.get("/metrics", REMOTE_ADDR="192.0.2.7").status_code == 200


def test_it_counts_requests_by_route_not_by_address(
    owner: Actor, signed_in: Callable[[Actor], Client]
) -> None:
    route = resolve(f"{QUERIES}/0b9f1d0e-8c1f-4c0a-9c58-111111111111").route
    labels = {"method": "GET", "route": route}
    before = value("upend_http_request_duration_seconds_count", **labels)
    for number in range(3):
        signed_in(owner).get(f"{QUERIES}/0b9f1d0e-8c1f-4c0a-9c58-{number:012}")
    assert value("upend_http_request_duration_seconds_count", **labels) == before + 3
    assert value("upend_http_requests_total", **labels, status="4xx") >= 3


def test_it_counts_what_nothing_answers_as_one_route(db: None) -> None:
    labels = {"method": "OTHER", "route": "unmatched", "status": "4xx"}
    before = value("upend_http_requests_total", **labels)
    Client().generic("BREW", "/no/such/place")
    assert value("upend_http_requests_total", **labels) == before + 1


def test_it_counts_refusals_by_reason(analyst: Actor, workspace: Workspace) -> None:
    before = value("upend_sql_refusals_total", reason="not_select")
    refused = value("upend_plan_duration_seconds_count", outcome="refused")
    with pytest.raises(SqlRefused):
        planning.plan(actor=analyst, workspace=workspace, sql="DROP TABLE t")
    assert value("upend_sql_refusals_total", reason="not_select") == before + 1
    assert value("upend_plan_duration_seconds_count", outcome="refused") == refused + 1


def test_it_reads_the_queue_when_it_is_asked(cast: Cast, workspace: Workspace) -> None:
    with_nothing = scraped(metrics.exposition(with_readers=True).decode())
    assert with_nothing["upend_queue_length|small"] == 0
    queue(workspace, cast.actor("analyst"))
    waiting = scraped(metrics.exposition(with_readers=True).decode())
    assert waiting["upend_queue_length|small"] == 1
    assert waiting["upend_queue_oldest_wait_seconds|small"] >= 0


COUNTING = """
import sys
from observability import metrics, server
metrics.SQL_REFUSALS.labels("empty").inc(float(sys.argv[1]))
metrics.PLAN_SECONDS.labels("planned").observe(0.02)
metrics.ENGINES_SPARE.set(float(sys.argv[1]))
if sys.argv[2:]:
    print("ready", flush=True)
    sys.stdin.read()
"""
ASKING = """
from observability import metrics, server
print(metrics.exposition(with_readers=False).decode())
"""


@pytest.fixture
def processes(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Return a starter of processes that count in one directory."""
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "platform")))

    def start(program: str, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", program, *arguments],
            env={"PYTHONPATH": paths, "UPEND_METRICS_DIR": str(tmp_path / "metrics")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    return start


def test_it_adds_up_processes_and_keeps_what_ended_ones_counted(
    processes: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    living = processes(COUNTING, "5", "stay")
    assert living.stdout is not None
    assert living.stdout.readline() == "ready\n"
    for _ in range(3):
        processes(COUNTING, "2").communicate(timeout=300)
    for _ in range(2):  # asking again changes nothing: what was gathered is not gathered twice
        asked, _ = processes(ASKING).communicate(timeout=300)
        found = scraped(asked)
        assert found["upend_sql_refusals_total|empty"] == 11
        assert found["upend_plan_duration_seconds_count|planned"] == 4
        assert found["upend_plan_duration_seconds_bucket|0.025|planned"] == 4
        assert found["upend_plan_duration_seconds_bucket|0.01|planned"] == 0
        assert found["upend_engines_spare"] == 5  # a gauge ends with its process
    living.communicate(timeout=300)
    left = sorted(file.name for file in (tmp_path / "metrics").glob("counter_*.db"))
    assert len(left) <= 3  # the gathered ones, the one that just ended, the one that asked


@pytest.mark.parametrize(
    ("token", "shown", "status"),
    [("", "", 200), ("duck", "", 401), ("duck", "Bearer duck", 200), ("duck", "Basic duck", 401)],
)
def test_it_answers_on_a_port_of_a_worker(token: str, shown: str, status: int) -> None:
    served = server.serve(port=0, token=token)
    assert served is not None
    try:
        url = f"http://127.0.0.1:{served.server_port}"
        answer = httpx.get(f"{url}/metrics", headers={"Authorization": shown}, timeout=60)
        assert answer.status_code == status
        assert ("upend_engine_starts_total" in answer.text) == (status == 200)
        assert httpx.get(f"{url}/other", timeout=60).status_code in {401, 404}
        assert server.serve(port=served.server_port, token=token) is None
    finally:
        served.shutdown()
        served.server_close()
