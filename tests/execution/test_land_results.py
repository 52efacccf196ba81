"""No query is said to have succeeded before its rows have landed, however long that takes."""

from __future__ import annotations

import threading

import pytest

from accounts.domain import Actor
from audit.models import AuditRecord
from execution.domain import QueryState
from execution.engine.domain import Outcome
from execution.results import landing
from execution.results.landing import Landing, NotLanded
from execution.services import lifecycle
from tests.execution.rows import make_query
from workspaces.models import Workspace

OUTCOME = Outcome((("one", "INTEGER"),), 1, 4, False, 0, 0.1)


@pytest.mark.django_db(transaction=True)
def test_it_says_nothing_while_rows_are_on_their_way(workspace: Workspace, analyst: Actor) -> None:
    query = make_query(workspace, analyst)
    held = lifecycle.claim(query_id=query.id, worker="w")
    assert held is not None
    arrived = threading.Event()

    def send() -> int:
        arrived.wait()
        return 8

    sent = Landing(send)
    with pytest.raises(NotLanded):
        lifecycle.succeed(
            held=held, outcome=OUTCOME, result_key="k", result_bytes=8, landed=sent.check
        )
    query.refresh_from_db()
    assert (query.state, query.result_key) == (QueryState.RUNNING, "")
    assert not AuditRecord.objects.filter(event="query.succeeded").exists()
    arrived.set()
    sent.wait()
    assert lifecycle.succeed(
        held=held, outcome=OUTCOME, result_key="k", result_bytes=8, landed=sent.check
    )
    query.refresh_from_db()
    assert query.state == QueryState.SUCCEEDED
    assert AuditRecord.objects.filter(event="query.succeeded").count() == 1


@pytest.mark.parametrize("error", [LookupError, TimeoutError])
def test_it_says_why_rows_never_land(error: type[Exception]) -> None:
    def send() -> int:
        raise error

    sent = Landing(send)
    with pytest.raises(error):
        sent.wait()
    with pytest.raises(error):
        sent.check()


def test_it_waits_in_no_transaction_for_longer_than_a_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(landing, "MOMENT_SECONDS", 0)
    arrived = threading.Event()

    def send() -> int:
        arrived.wait()
        return 1

    sent = Landing(send)
    with pytest.raises(NotLanded):
        sent.check()
    arrived.set()
    sent.wait()
    sent.check()
