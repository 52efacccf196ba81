"""A slot takes the fairest query that no limit forbids, however many slots ask at once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings
from django.test import Client
from django.utils import timezone

from accounts import services as accounts
from accounts.domain import Actor
from accounts.selectors import actor_for_user
from execution import line, services
from execution.domain import Estimate, QueryState, RequestedPlace, TableEstimate
from execution.engine.problems import QueryCancelled
from execution.models import Query
from execution.services import admission, lifecycle
from execution.services.limits import TooManyQueries
from execution.weight import SLOT_BYTES, Weight, weigh
from problems import Problem
from tests.cast import Cast
from tests.execution.queue import (
    HEAVY,
    at_once,
    claims_of,
    finish,
    machine,
    people,
    queue,
    served,
    take,
    take_all,
    waited,
)
from tests.execution.rows import make_query
from upend.device import DeviceKey
from workspaces.models import Workspace

pytestmark = pytest.mark.django_db

QUERIES = "/api/v1/workspaces/flight-ops/queries"
STALE = timedelta(seconds=settings.HEARTBEAT_TIMEOUT_SECONDS + 1)


def limit(workspace: Workspace, **limits: int) -> None:
    for name, value in limits.items():
        setattr(workspace, name, value)
    workspace.save()


# --- Caps -------------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_it_exceeds_no_cap_however_many_slots_ask_at_once(workspace: Workspace, cast: Cast) -> None:
    limit(workspace, max_running_queries=7, max_running_per_principal=3)
    for person in people(cast, 4):
        queue(workspace, person, 10)
    here, there = machine(slots=6), machine(name="two", slots=6)
    held = claims_of(
        at_once(20, lambda number: admission.admit(machine=here if number % 2 else there))
    )
    assert len(held) == 7
    assert len({claim.query.id for claim in held}) == 7
    assert max(Counter(claim.query.principal_key for claim in held).values()) <= 3
    by_machine = Counter(claim.query.worker.partition("/")[0] for claim in held)
    assert max(by_machine.values()) <= 6
    assert take(here) is None


@pytest.mark.django_db(transaction=True)
def test_it_gives_no_machine_more_than_its_slots_and_memory(
    workspace: Workspace, cast: Cast
) -> None:
    limit(workspace, max_running_queries=100, max_running_per_principal=100)
    for person in people(cast, 4):
        queue(workspace, person, 5, is_heavy=True, slot_bytes=2 * SLOT_BYTES)
        queue(workspace, person, 5)
    where = machine(slots=6, shared_slots=5)
    held = claims_of(at_once(20, lambda _: admission.admit(machine=where)))
    assert len(held) <= 6
    heavy = [claim for claim in held if claim.query.is_heavy]
    assert len(heavy) == 2, "a third would need six of the five slots that they share"
    assert sum(claim.query.slot_bytes for claim in held) <= where.shared_bytes


def test_it_holds_back_who_runs_as_many_as_they_may(
    workspace: Workspace, analyst: Actor, steward: Actor
) -> None:
    limit(workspace, max_running_per_principal=2)
    mine = queue(workspace, analyst, 3)
    theirs = queue(workspace, steward)
    where = machine(slots=8)
    assert set(take_all(where)) == {*mine[:2], *theirs}
    finish(mine[0])
    assert take(where) == mine[2]


def test_it_counts_no_run_on_a_persons_own_machine(workspace: Workspace, analyst: Actor) -> None:
    limit(workspace, max_running_queries=1, max_running_per_principal=1)
    make_query(workspace, analyst, state=QueryState.DELEGATED, place="local")
    (mine,) = queue(workspace, analyst)
    assert take(machine()) == mine


# --- Fairness ---------------------------------------------------------------------------------
def test_it_takes_a_principals_queries_in_order(workspace: Workspace, analyst: Actor) -> None:
    mine = queue(workspace, analyst, 5)
    taken = []
    while (query := take(machine())) is not None:
        finish(query)
        taken.append(query)
    assert taken == mine


def test_it_alternates_between_principals(
    workspace: Workspace, analyst: Actor, steward: Actor
) -> None:
    mine, theirs = queue(workspace, analyst, 4), queue(workspace, steward, 2)
    taken = []
    while (query := take(machine())) is not None:
        finish(query)
        taken.append(query)
    assert taken == [mine[0], theirs[0], mine[1], theirs[1], mine[2], mine[3]]


def test_it_prefers_who_runs_least(
    workspace: Workspace, analyst: Actor, steward: Actor, owner: Actor
) -> None:
    queue(workspace, analyst, 2)
    where = machine(slots=8)
    assert len(take_all(where)) == 2
    (theirs,) = queue(workspace, steward)
    assert take(where) == theirs
    finish(theirs)
    (mine,), (again,) = queue(workspace, analyst), queue(workspace, steward)
    assert take(where) == again, "served later, but runs nothing"
    assert take(where) == mine


def test_it_prefers_people_to_schedules_to_programs(
    workspace: Workspace, analyst: Actor, steward: Actor, agent: Actor
) -> None:
    (programs,) = queue(workspace, agent, priority=2)
    (schedules,) = queue(workspace, steward, priority=1)
    (peoples,) = queue(workspace, analyst)
    assert take_all(machine()) == [peoples, schedules, programs]


def test_it_lets_who_waits_long_go_before_the_more_urgent(
    workspace: Workspace, analyst: Actor, agent: Actor
) -> None:
    (programs,) = queue(workspace, agent, priority=2)
    queue(workspace, analyst)
    waited(programs, 2 * admission.AGING_SECONDS - 5)
    first = take(machine())
    assert first
    assert first != programs
    finish(first)
    queue(workspace, analyst)
    waited(programs, 3 * admission.AGING_SECONDS + 5)
    assert take(machine()) == programs


def test_it_does_not_age_the_backlog_of_who_is_served(
    workspace: Workspace, analyst: Actor, steward: Actor
) -> None:
    backlog = queue(workspace, analyst, 3)
    for query in backlog:
        waited(query, 1000)
    first = take(machine())
    assert first == backlog[0]
    finish(first)
    (fresh,) = queue(workspace, steward)
    assert take(machine()) == fresh


def test_it_ages_a_principals_own_queries_among_each_other(
    workspace: Workspace, analyst: Actor
) -> None:
    (nightly,) = queue(workspace, analyst, priority=1)
    (urgent,) = queue(workspace, analyst)
    assert take(machine()) == urgent
    finish(urgent)
    queue(workspace, analyst)
    waited(nightly, admission.AGING_SECONDS + 1)
    assert take(machine()) == nightly


# --- Heavy and small --------------------------------------------------------------------------
def test_it_keeps_a_slot_for_small_queries_before_a_hundred_heavy_ones(
    workspace: Workspace, analyst: Actor, steward: Actor
) -> None:
    limit(workspace, max_running_queries=100, max_running_per_principal=100)
    queue(workspace, analyst, 100, **HEAVY)
    where = machine(slots=4)
    assert len(take_all(where)) == 3
    (small,) = queue(workspace, steward)
    assert take(where) == small, "at once, behind none of the hundred"


def test_it_gives_the_last_slot_to_who_runs_nothing_there(
    workspace: Workspace, analyst: Actor, steward: Actor
) -> None:
    limit(workspace, max_running_per_principal=100)
    mine = queue(workspace, analyst, 6)
    where = machine(slots=4)
    assert take_all(where) == mine[:3], "small by estimate, but who knows"
    (theirs,) = queue(workspace, steward)
    assert take(where) == theirs


def test_it_counts_what_runs_long_as_heavy(
    workspace: Workspace, analyst: Actor, steward: Actor, owner: Actor
) -> None:
    where = machine(slots=3)
    (mine,), (theirs,) = queue(workspace, analyst), queue(workspace, steward)
    assert len(take_all(where)) == 2
    for query in (mine, theirs):
        served(query, admission.LONG_SECONDS + 1)
    queue(workspace, owner, **HEAVY)
    assert take(where) is None
    (small,) = queue(workspace, owner)
    assert take(where) == small


def test_it_lets_small_queries_pass_their_principals_heavy_ones(
    workspace: Workspace, analyst: Actor
) -> None:
    where = machine(slots=2)
    heavy = queue(workspace, analyst, 2, **HEAVY)
    assert take_all(where) == heavy[:1]
    finish(heavy[0])
    (small,) = queue(workspace, analyst)
    assert take(where) == heavy[1], "its turn by age"
    finish(heavy[1])
    assert take(where) == small


# --- Memory -----------------------------------------------------------------------------------
def test_it_runs_what_wants_more_than_the_machine_has_alone_with_all_of_it(
    workspace: Workspace, analyst: Actor, steward: Actor
) -> None:
    where = machine(slots=4, shared_slots=3)
    (first,) = queue(workspace, analyst, is_heavy=True, slot_bytes=2 * SLOT_BYTES)
    assert take(where) == first
    (huge,) = queue(workspace, steward, is_heavy=True, slot_bytes=100 * SLOT_BYTES)
    assert take(where) is None
    finish(first)
    taken = take(where)
    assert taken == huge
    assert taken is not None
    assert taken.slot_bytes == 3 * SLOT_BYTES
    (other,) = queue(workspace, analyst, is_heavy=True, slot_bytes=SLOT_BYTES)
    assert take(where) is None
    finish(huge)
    assert take(where) == other


def test_it_lets_others_pass_who_does_not_fit_but_not_for_ever(
    workspace: Workspace, analyst: Actor, steward: Actor, owner: Actor
) -> None:
    where = machine(slots=6, shared_slots=4)
    (running,) = queue(workspace, owner, is_heavy=True, slot_bytes=2 * SLOT_BYTES)
    assert take(where) == running
    (large,) = queue(workspace, analyst, is_heavy=True, slot_bytes=4 * SLOT_BYTES)
    lesser = queue(workspace, steward, 2, is_heavy=True, slot_bytes=SLOT_BYTES)
    assert take(where) == lesser[0]
    waited(large, admission.AGING_SECONDS + 1)
    assert take(where) is None, "memory is kept free for the large one"
    (small,) = queue(workspace, steward)
    assert take(where) == small, "which needs none of it"
    finish(running, lesser[0])
    assert take(where) == large


def test_it_runs_a_query_that_outgrew_its_memory_once_more_with_all_it_may_have(
    workspace: Workspace, analyst: Actor
) -> None:
    limit(workspace, query_memory_bytes=3 * SLOT_BYTES)
    sql = "SELECT string_agg(random()::VARCHAR, '') AS s FROM range(30000000)"
    query = make_query(workspace, analyst, sql)
    where = machine(slots=4, shared_slots=4)
    assert services.run_queries(where) == 2
    query.refresh_from_db()
    assert (query.attempts, query.is_heavy, query.slot_bytes) == (2, True, 2 * SLOT_BYTES)
    assert query.state in {QueryState.SUCCEEDED, QueryState.FAILED}
    if query.problem:
        assert query.problem["memory_bytes"] == 3 * SLOT_BYTES


# --- Ends -------------------------------------------------------------------------------------
def test_it_frees_the_slots_of_what_failed_was_cancelled_or_lost_its_worker(
    workspace: Workspace, analyst: Actor, steward: Actor
) -> None:
    limit(workspace, max_running_queries=3)
    where = machine(slots=4)
    queue(workspace, analyst, 2)
    queue(workspace, steward, 4)
    held = claims_of([admission.admit(machine=where) for _ in range(3)])
    assert len(held) == 3
    assert take(where) is None
    lifecycle.fail(held=held[0], problem=QueryCancelled("Stopped."))
    assert take(where)
    lifecycle.fail(held=held[1], problem=Problem("Broken."))
    assert take(where)
    Query.objects.filter(id=held[2].query.id).update(heartbeat_at=timezone.now() - STALE)
    assert take(where) is None
    assert services.sweep()["recovered"] == 1
    assert take(where)


def test_it_runs_until_nothing_admissible_is_left(
    workspace: Workspace, analyst: Actor, steward: Actor
) -> None:
    queries = queue(workspace, analyst, 2) + queue(workspace, steward)
    assert services.run_queries(machine()) == 3
    states = Query.objects.filter(id__in=[q.id for q in queries]).values_list("state", flat=True)
    assert set(states) == {QueryState.SUCCEEDED}
    assert services.run_queries(machine()) == 0


def test_it_begins_nothing_more_when_its_worker_stops(workspace: Workspace, analyst: Actor) -> None:
    first, second = queue(workspace, analyst, 2)
    ended: list[int] = []
    done = services.run_queries(
        machine(), after_each=lambda: ended.append(1), is_stopping=lambda: bool(ended)
    )
    assert done == 1
    states = [Query.objects.get(id=query.id).state for query in (first, second)]
    assert states == [QueryState.SUCCEEDED, QueryState.QUEUED]


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
