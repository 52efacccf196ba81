"""A slot takes the fairest query that no limit forbids, however many slots ask at once."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from django.conf import settings
from django.utils import timezone

from accounts.domain import Actor
from execution import services
from execution.domain import QueryState
from execution.engine.problems import QueryCancelled
from execution.models import Query
from execution.services import admission, lifecycle
from execution.weight import SLOT_BYTES
from problems import Problem
from tests.cast import Cast
from tests.execution.queue import (
    HEAVY,
    at_once,
    claims_of,
    finish,
    limit,
    machine,
    people,
    queue,
    served,
    take,
    take_all,
    waited,
)
from tests.execution.rows import make_query
from workspaces.models import Workspace

pytestmark = pytest.mark.django_db

STALE = timedelta(seconds=settings.HEARTBEAT_TIMEOUT_SECONDS + 1)


# --- Caps -------------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_it_exceeds_no_cap_however_many_slots_ask_at_once(workspace: Workspace, cast: Cast) -> None:
    limit(workspace, max_running_queries=7, max_running_per_principal=3)
    for person in people(cast, 4):
        queue(workspace, person, 10)
    here, there = machine(slots=6), machine(name="two", slots=6)
    held = claims_of(
        at_once(20, lambda number: admission.admit(machine=here if number % 2 else there).held)
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
    held = claims_of(at_once(20, lambda _: admission.admit(machine=where).held))
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
def test_it_keeps_two_thirds_of_the_slots_for_small_queries_before_a_hundred_heavy_ones(
    workspace: Workspace, cast: Cast, analyst: Actor
) -> None:
    limit(workspace, max_running_queries=100, max_running_per_principal=100)
    queue(workspace, analyst, 100, **HEAVY)
    where = machine(slots=9)
    assert len(take_all(where)) == 2
    small = [queue(workspace, person)[0] for person in people(cast, 4)]
    assert take_all(where) == small, "at once, behind none of the hundred"


@pytest.mark.parametrize(("slots", "heavy"), [(1, 1), (2, 1), (4, 2), (6, 2), (7, 3), (32, 11)])
def test_it_gives_heavy_queries_a_third_of_the_slots(slots: int, heavy: int) -> None:
    assert machine(slots=slots).heavy_slots == heavy


def test_it_gives_the_last_slot_of_the_heavy_to_who_runs_no_heavy_one_there(
    workspace: Workspace, analyst: Actor, steward: Actor
) -> None:
    limit(workspace, max_running_per_principal=100)
    queue(workspace, analyst, 100, **HEAVY)
    where = machine(slots=6)
    (mine,) = take_all(where)
    (theirs,) = queue(workspace, steward, **HEAVY)
    assert take_all(where) == [theirs], "at once, behind none of the hundred"
    finish(mine)
    (next_one,) = take_all(where)
    assert next_one.principal_key == analyst.id


def test_it_leaves_the_only_slot_of_the_heavy_to_whoever_comes(
    workspace: Workspace, analyst: Actor
) -> None:
    first, second = queue(workspace, analyst, 2, **HEAVY)
    where = machine(slots=3)
    assert take_all(where) == [first]
    finish(first)
    assert take_all(where) == [second]


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
    sql = "SELECT length(string_agg(repeat('x', 100000), '')) AS n FROM range(20000)"
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
    held = claims_of([admission.admit(machine=where).held for _ in range(3)])
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
