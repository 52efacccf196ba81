"""A person sees their turn coming, and is told when to come again where too many wait."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.test import Client

from accounts import services as accounts
from accounts.domain import Actor
from accounts.selectors import actor_for_user
from execution import line, rush, services
from execution.domain import Estimate, QueryState, RequestedPlace, TableEstimate
from execution.models import Query
from execution.services.limits import TooManyQueries
from execution.weight import SLOT_BYTES, Weight, weigh
from tests.cast import Cast
from tests.execution.queue import (
    HEAVY,
    at_once,
    finish,
    limit,
    machine,
    queue,
    served,
    take,
    take_all,
)
from upend.device import DeviceKey
from workspaces.models import Workspace

pytestmark = pytest.mark.django_db

QUERIES = "/api/v1/workspaces/flight-ops/queries"


# --- The line ---------------------------------------------------------------------------------
def position(query: Query) -> int:
    return line.turns([query.id])[query.id].position


def test_it_says_where_a_query_stands(
    workspace: Workspace, analyst: Actor, steward: Actor, agent: Actor
) -> None:
    mine = queue(workspace, analyst, 3)
    theirs = queue(workspace, steward, 2)
    programs = queue(workspace, agent, priority=2)
    heavy = queue(workspace, agent, **HEAVY)
    expected = [mine[0], theirs[0], mine[1], theirs[1], mine[2], programs[0]]
    assert [position(query) for query in expected] == [1, 2, 3, 4, 5, 6]
    assert position(heavy[0]) == 1
    finish(*heavy)
    taken = []
    while (query := take(machine())) is not None:
        finish(query)
        taken.append(query)
    assert taken == expected, "as it was foretold"
    assert line.turns([mine[0].id]) == {}, "it no longer waits"


def test_it_foretells_the_wait_from_the_last_runs(
    workspace: Workspace, analyst: Actor, steward: Actor
) -> None:
    (done,) = queue(workspace, analyst)
    assert line.turns([done.id])[done.id].expected_wait_seconds is None
    take(machine())
    finish(done)
    served(done, 4)
    queue(workspace, analyst)
    queue(workspace, steward)
    assert len(take_all(machine())) == 2
    waiting = queue(workspace, analyst, 3)
    turn = line.turns([waiting[2].id])[waiting[2].id]
    assert (turn.position, turn.ahead) == (3, 2)
    assert turn.expected_wait_seconds == pytest.approx(3 * 4 / 2, abs=0.5)


def test_it_shows_a_waiting_query_its_place_and_a_running_one_none(
    workspace: Workspace, analyst: Actor, signed_in: Callable[[Actor], Client]
) -> None:
    first, second = queue(workspace, analyst, 2)
    client = signed_in(analyst)
    document = client.get(f"{QUERIES}/{second.id}").json()
    assert (document["priority"], document["queue"]["position"]) == ("interactive", 2)
    assert take(machine()) == first
    shown = {q["id"]: q["queue"] for q in client.get(QUERIES).json()["results"]}
    assert shown[str(first.id)] is None
    assert shown[str(second.id)]["ahead"] == 0


# --- The hard limit ---------------------------------------------------------------------------
def ask(client: Client, key: str = "", **body: Any) -> Any:
    headers = {"Idempotency-Key": key} if key else {}
    given = json.dumps({"sql": "SELECT 1", "place": "server", "cache": False} | body)
    return client.post(QUERIES, given, content_type="application/json", headers=headers)


def test_it_sends_a_rush_away_before_it_is_planned(
    workspace: Workspace,
    analyst: Actor,
    steward: Actor,
    signed_in: Callable[[Actor], Client],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with ExitStack() as taken, monkeypatch.context() as while_it_is_full:
        while_it_is_full.setattr(rush, "MOST_WAITING", 0)
        for _ in range(rush.AT_ONCE):
            taken.enter_context(rush.turn(analyst.id))
        refused = ask(signed_in(analyst))
        assert (refused.status_code, refused.json()["code"]) == (429, "too-many-requests")
        assert refused.headers["Retry-After"] == "1"
        assert ask(signed_in(steward)).status_code == 201
    assert ask(signed_in(analyst)).status_code == 201


def test_it_says_when_to_come_again_at_the_limit(
    workspace: Workspace, analyst: Actor, steward: Actor, signed_in: Callable[[Actor], Client]
) -> None:
    limit(workspace, max_queued_per_principal=2, max_queued_queries=3)
    client = signed_in(analyst)
    made = [ask(client, "first"), ask(client)]
    assert [answer.status_code for answer in made] == [201, 201]
    refused = ask(client)
    assert (refused.status_code, refused.json()["code"]) == (429, "too-many-queries")
    assert (refused["Retry-After"], refused.json()["scope"]) == ("30", "principal")
    assert ask(client, "first").json()["id"] == made[0].json()["id"], "a replay is no new query"
    others = signed_in(steward)
    assert ask(others).status_code == 201
    assert ask(others).json()["scope"] == "workspace"
    while (query := take(machine())) is not None:
        finish(query)
    assert ask(client).status_code == 201
    limit(workspace, max_queued_per_principal=1)
    assert ask(client)["Retry-After"] == "30", "at two in the last minute"


def test_it_answers_what_it_knows_however_many_wait(
    workspace: Workspace, analyst: Actor, signed_in: Callable[[Actor], Client]
) -> None:
    client = signed_in(analyst)
    first = ask(client, cache=True).json()
    assert services.run_queries(machine()) == 1
    limit(workspace, max_queued_per_principal=1)
    queue(workspace, analyst)
    assert ask(client).status_code == 429
    assert ask(client, sql="SELECT 2", cache=True).status_code == 429
    again = ask(client, cache=True).json()
    assert (again["state"], again["cached"]["from"]) == ("succeeded", first["id"])


@pytest.mark.django_db(transaction=True)
def test_it_is_exact_for_a_principal_that_submits_at_once(
    workspace: Workspace, analyst: Actor
) -> None:
    limit(workspace, max_queued_per_principal=5)

    def submit(_: int) -> bool:
        try:
            services.submit_query(
                actor=analyst,
                workspace=workspace,
                sql="SELECT 1",
                requested=RequestedPlace.SERVER,
                reuse=False,
            )
        except TooManyQueries:
            return False
        return True

    assert sum(at_once(12, submit)) == 5
    assert Query.objects.filter(state=QueryState.QUEUED).count() == 5


def test_it_refuses_no_run_on_a_persons_own_machine(
    workspace: Workspace, analyst: Actor, owner: Actor, cast: Cast
) -> None:
    limit(workspace, max_queued_per_principal=1)
    queue(workspace, analyst)
    key = DeviceKey(Ed25519PrivateKey.generate())
    device = accounts.enroll_device(
        actor=analyst, name="laptop", public_jwk=key.public_jwk, memory_bytes=16 * 2**30
    )
    device = accounts.approve_device(actor=owner, device=device)
    actor = actor_for_user(cast.users["analyst"], device=device.identity)
    submission = services.submit_query(
        actor=actor, workspace=workspace, sql="SELECT 1", requested=RequestedPlace.LOCAL
    )
    assert submission.query.state == QueryState.DELEGATED
    with pytest.raises(TooManyQueries):
        services.submit_query(
            actor=actor, workspace=workspace, sql="SELECT 1", requested=RequestedPlace.SERVER
        )


# --- Weight and priority ----------------------------------------------------------------------
def test_it_keeps_the_priority_that_was_asked_for(
    workspace: Workspace, analyst: Actor, agent: Actor, signed_in: Callable[[Actor], Client]
) -> None:
    person, program = signed_in(analyst), signed_in(agent)
    assert ask(person).json()["priority"] == "interactive"
    assert ask(person, priority="scheduled").json()["priority"] == "scheduled"
    assert ask(program).json()["priority"] == "agent"
    assert ask(program, priority="scheduled").json()["priority"] == "scheduled"
    refused = ask(program, priority="interactive")
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid")
    assert ask(person, priority="agent").status_code == 422


@pytest.mark.parametrize(
    ("memory", "scan", "expected"),
    [
        (64 * 10**6, 10**6, Weight(is_heavy=False, slot_bytes=0)),
        (64 * 10**6, 10**9, Weight(is_heavy=True, slot_bytes=0)),
        (SLOT_BYTES + 1, 10**6, Weight(is_heavy=True, slot_bytes=SLOT_BYTES)),
        (10**12, 10**6, Weight(is_heavy=True, slot_bytes=7 * SLOT_BYTES)),
    ],
)
def test_it_rounds_memory_up_to_slots(memory: int, scan: int, expected: Weight) -> None:
    table = TableEstimate("t", "t", (), scan, scan, 1, 1, 1, (1,))
    assert weigh(Estimate((table,), 0, memory), most_bytes=2 * 2**30) == expected
