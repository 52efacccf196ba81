"""Every text of the corpus, sent to a running Upend by a member of it: API, planner, worker."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.patience import slowness
from tests.security.conftest import API, Target, files_below
from tests.security.corpus import ATTACKS, Attack, by_id, runs

pytestmark = pytest.mark.stack

ORDINARY = "SELECT region, count(*) AS n FROM sales GROUP BY region ORDER BY region"
ANSWER = [["EU", 500], ["US", 500]]
NEXT_QUERY_SECONDS = 5.0
CONTAINED = {
    "engine-died",
    "planning-failed",
    "query-failed",
    "query-out-of-memory",
    "query-timeout",
    "sql-refused",
    "storage-unreachable",
}
"""How a contained attack may end: each is a clear word to its author and to nobody else."""

STATEMENTS = [a for a in ATTACKS if a.is_statement]
REFUSED = [a for a in STATEMENTS if a.code and a.category != "dos"]


def seconds_of_an_ordinary_query(target: Target) -> float:
    started = time.monotonic()
    assert target.rows(ORDINARY) == ANSWER
    return time.monotonic() - started


@pytest.fixture(scope="module")
def usual_seconds(target: Target) -> float:
    """What an ordinary query takes here when nobody attacks, beside whatever else runs here."""
    return max(seconds_of_an_ordinary_query(target) for _ in range(3))


def assert_serving(target: Target, usual_seconds: float) -> None:
    """An ordinary query is answered within seconds; where it never is, not much later.

    What else the machine does may have changed since.
    """
    times = slowness()
    next_one = seconds_of_an_ordinary_query(target)
    times = max(times, slowness())
    assert next_one < max(NEXT_QUERY_SECONDS * times, 2 * usual_seconds)


@runs(REFUSED)
def test_it_refuses(attack: Attack, target: Target) -> None:
    answer = target.submit(attack.sql)
    problem = answer.json()
    assert problem.get("reason_code") == attack.code, problem
    expected = (
        (404, "unknown-table") if attack.code == "table_not_granted" else (422, "sql-refused")
    )
    assert (answer.status_code, problem["code"]) == expected


@runs([a for a in STATEMENTS if a.expected == "error:binder"])
def test_it_says_that_there_is_no_such_column(attack: Attack, target: Target) -> None:
    answer = target.submit(attack.sql)
    assert (answer.status_code, answer.json()["code"]) == (422, "bind-error")


@runs([a for a in STATEMENTS if a.category == "dos"])
def test_it_goes_on_serving_after(attack: Attack, target: Target, usual_seconds: float) -> None:
    worker = target.stack.processes["worker-query"]
    answer = target.submit(attack.sql)
    if answer.status_code == 201:
        query = target.finished(answer)
        problem: dict[str, Any] = query["problem"] or {"code": query["state"]}
    else:
        problem = answer.json()
    if attack.code:
        assert problem.get("reason_code") == attack.code, problem
    else:
        assert problem["code"] in CONTAINED, problem
    assert_serving(target, usual_seconds)
    assert target.stack.processes["worker-query"] == worker


@runs(by_id("CATALOG-07"))
def test_it_survives_a_file_that_only_looks_like_parquet(
    attack: Attack, target: Target, usual_seconds: float
) -> None:
    worker = target.stack.processes["worker-query"]
    query = target.finished(target.submit("SELECT sum(id) FROM broken"))
    assert query["problem"]["code"] in CONTAINED
    assert_serving(target, usual_seconds)
    assert target.stack.processes["worker-query"] == worker


@runs(by_id("AUTHZ-35", "CATALOG-03", "CATALOG-04"))
def test_it_knows_no_stored_view_and_no_stored_macro(attack: Attack, target: Target) -> None:
    texts = {
        "AUTHZ-35": "SELECT * FROM shop.main.v_all",
        "CATALOG-03": "SELECT * FROM shop.main.v_file",
        "CATALOG-04": "SELECT * FROM peep('/etc/hostname')",
    }
    problem = target.submit(texts[attack.id]).json()
    expected = {
        "AUTHZ-35": "table_not_granted",
        "CATALOG-03": "table_not_granted",  # who may mend the view learns why: catalog corpus
        "CATALOG-04": "table_function",
    }
    assert problem["reason_code"] == expected[attack.id]


@runs(by_id("HTTP-01"))
def test_it_hides_the_lakes_of_others(attack: Attack, target: Target) -> None:
    for address in (
        f"/api/v1/workspaces/abroad/catalogs/{target.seeded['foreign_lake']}",
        "/api/v1/workspaces/abroad/catalogs/shop",
        f"{API}/catalogs/{target.seeded['foreign_lake']}",
        "/api/v1/workspaces/people/catalogs/shop",
        f"/api/v1/workspaces/people/catalogs/{target.seeded['lake']}",
    ):
        assert target.http.get(address).status_code == 404, address


@runs(by_id("HTTP-02"))
def test_it_runs_nothing_on_the_lakes_of_others(attack: Attack, target: Target) -> None:
    for workspace in ("abroad", "people"):
        body = {"sql": "SELECT * FROM shop.main.hr", "catalog": "shop"}
        answer = target.http.post(f"/api/v1/workspaces/{workspace}/queries", json=body)
        assert answer.status_code == 404, workspace
    foreign = target.submit("SELECT * FROM hr", catalog=target.seeded["foreign_lake"])
    assert foreign.status_code == 404


@runs(by_id("HTTP-24"))
def test_it_keeps_secrets_of_the_text_out_of_its_logs(attack: Attack, target: Target) -> None:
    key, signature = "AKIAIOSFODNN7CORPUS", "X-Amz-Signature=c0ffee"
    url = f"https://b.example/k?{signature}"
    query = target.finished(target.submit(f"SELECT ('{key}' || '{url}')::INTEGER"))
    assert query["state"] == "failed"
    assert key not in str(query["problem"])
    target.submit(f"SELECT '{key} {url}' FRM")
    target.submit(f"SELECT * FROM '{url}'")
    logs = [path for path in files_below(target.stack.directory) if path.suffix == ".log"]
    assert logs
    for log in logs:
        if "postgres" not in str(log):
            text = log.read_text(errors="replace")
            assert key not in text, log
            assert signature not in text, log
