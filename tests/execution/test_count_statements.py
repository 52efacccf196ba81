"""A query costs the database a known number of statements, from its submission to its rows.

Each is a round trip that somebody waits for, and some Python beside it. Counted are transactions
and what touches queries and the ledger; what planning and governance read of their own is theirs
to count, and what a connection has prepared has no text to count by. Whoever needs one more raises
the number here, and says what it buys.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.domain import Actor
from execution import selectors, services, waiting
from execution.domain import QueryState, RequestedPlace, ResultFormat
from execution.engine.domain import Outcome
from execution.models import Query
from execution.services import admission, lifecycle, running
from tests.execution.queue import machine
from tests.execution.rows import make_query
from workspaces.models import Workspace

pytestmark = pytest.mark.django_db(transaction=True)  # else savepoints stand for BEGIN

SQL = "SELECT 1 AS one"
OURS = re.compile(
    r"\s*(BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE)|.*(execution_|audit_auditrecord|advisory)",
    re.DOTALL,
)
BY_THE_CLOCK = re.compile(
    r'UPDATE "execution_query" SET "heartbeat_at"|.*"cancel_requested_at" IS NULL'
)
"""What takes long says that it goes on, and asks whether it should, as often as that needs."""
PREDICTED = {"decisions": [], "predictions": {"server": {"model_seconds": 1.0}}}


@contextmanager
def statements(count: int) -> Iterator[None]:
    """Fail unless the block sends that many statements of ours."""
    with CaptureQueriesContext(connection) as sent:
        yield
    every = [query["sql"] or "" for query in sent.captured_queries]  # a prepared one has no text
    texts = [text for text in every if OURS.match(text) and not BY_THE_CLOCK.match(text)]
    shown = "\n".join(" ".join(text.split())[:110] for text in texts)
    assert len(texts) == count, f"{len(texts)} statements instead of {count}:\n{shown}"


def submit(actor: Actor, workspace: Workspace, key: str = "") -> Query:
    return services.submit_query(
        actor=actor,
        workspace=workspace,
        sql=SQL,
        requested=RequestedPlace.SERVER,
        idempotency_key=key,
        reuse=False,
    ).query


@pytest.mark.parametrize("key", ["", "a-key"])
def test_it_submits_in_five(workspace: Workspace, analyst: Actor, key: str) -> None:
    # One of them is placement's look at the queue; the row and its record are one, and prepared.
    with statements(5):
        submit(analyst, workspace, key)


def test_it_repeats_a_submission_in_four(workspace: Workspace, analyst: Actor) -> None:
    submit(analyst, workspace, "a-key")
    with statements(4):
        submit(analyst, workspace, "a-key")


def test_it_claims_in_four(workspace: Workspace, analyst: Actor) -> None:
    first, second = (make_query(workspace, analyst) for _ in range(2))
    with statements(4):
        held, others_wait = admission.admit(machine=machine())
    assert held is not None
    assert (held.query, others_wait) == (first, True)
    assert held.query.state == QueryState.RUNNING
    assert held.principal.id == analyst.id
    held, others_wait = admission.admit(machine=machine())
    assert held is not None
    assert (held.query, others_wait) == (second, False)


def test_it_finds_nothing_to_claim_in_three(db: None) -> None:
    with statements(3):
        assert admission.admit(machine=machine()) == (None, False)


def test_it_says_that_others_wait_whom_it_may_not_take(
    workspace: Workspace, analyst: Actor
) -> None:
    Workspace.objects.update(max_running_queries=0)
    make_query(workspace, analyst)
    assert admission.admit(machine=machine()) == (None, True)


def test_it_ends_a_run_in_two(workspace: Workspace, analyst: Actor) -> None:
    query = make_query(workspace, analyst, plan=PREDICTED)
    held = lifecycle.claim(query_id=query.id, worker="w")
    assert held is not None
    outcome = Outcome((("one", "INTEGER"),), 1, 4, False, 0, 0.1)
    with statements(2):  # the end and its record are one, and prepared
        assert lifecycle.succeed(held=held, outcome=outcome, result_key="k", result_bytes=8)


def test_it_runs_in_three(workspace: Workspace, analyst: Actor) -> None:
    query = make_query(workspace, analyst, plan=PREDICTED)
    held = lifecycle.claim(query_id=query.id, worker="w")
    assert held is not None
    with statements(3):  # the end, and one that sees to the quota
        running.carry_out(held)
    query.refresh_from_db()
    assert query.state == QueryState.SUCCEEDED, query.problem


def test_it_answers_who_waited_in_four(workspace: Workspace, analyst: Actor) -> None:
    query = make_query(workspace, analyst)
    services.run_query(query.id, worker="w")
    with statements(4):
        assert waiting.wait_for_end(query.id, seconds=5)
        query = selectors.look_again(analyst, query)
        assert services.locate(actor=analyst, query=query, form=ResultFormat.ARROW)


def test_it_hands_out_a_result_in_three_after_finding_its_query(
    workspace: Workspace, analyst: Actor
) -> None:
    made = make_query(workspace, analyst)
    services.run_query(made.id, worker="w")
    with statements(3):
        query = selectors.find_query(analyst, workspace, made.id)
        assert services.locate(actor=analyst, query=query, form=ResultFormat.ARROW)
