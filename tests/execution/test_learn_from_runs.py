"""Runs teach the predictions of their place, may be forgotten, and may be taken over."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.test import Client, TestCase

from accounts import services as accounts
from accounts.authorization import NotAllowed
from accounts.domain import Actor
from accounts.models import Device
from accounts.selectors import actor_for_user
from audit.models import AuditRecord
from execution import services
from execution.circumstances import circumstances_of
from execution.domain import Estimate, Place, QueryState, RequestedPlace
from execution.engine.domain import Outcome
from execution.models import LearnedCorrection, Query
from execution.results.landing import NotLanded
from execution.services import corrections, lifecycle
from execution.services.handover import NotHandedOver
from execution.timing import Correction
from tests.cast import Cast
from tests.execution.rows import make_delegated, make_query
from upend.device import DeviceKey
from workspaces.models import Workspace

PLAN = {
    "decisions": [],
    "predictions": {"server": {"model_seconds": 1.0}, "local": {"model_seconds": 1.0}},
}
SQL = "SELECT 1 AS one"
NOTHING = Estimate((), 0, 0)
PLANS = "/w/flight-ops/query/plan"


@dataclass
class Laptop:
    """An approved device of the analyst, and the analyst acting on it."""

    key: DeviceKey
    device: Device
    actor: Actor

    def run(self, workspace: Workspace, **claims: Any) -> Query:
        """Delegate a query to the laptop and take its receipt."""
        query = make_delegated(workspace, self.actor, self.device, plan=PLAN)
        said = {"query_id": str(query.id), "outcome": "succeeded", "iat": int(time.time())}
        text = self.key.sign_receipt(said | claims)
        return services.accept_receipt(actor=self.actor, query=query, text=text)


@pytest.fixture
def laptop(cast: Cast, analyst: Actor, owner: Actor) -> Laptop:
    key = DeviceKey(Ed25519PrivateKey.generate())
    device = accounts.enroll_device(actor=analyst, name="laptop", public_jwk=key.public_jwk)
    device = accounts.approve_device(actor=owner, device=device)
    actor = actor_for_user(cast.users["analyst"], device=device.identity)
    return Laptop(key, device, actor)


def run_on_server(workspace: Workspace, actor: Actor, *, truncated: bool = False) -> Query:
    query = make_query(workspace, actor, plan=PLAN)
    held = lifecycle.claim(query_id=query.id, worker="w")
    assert held is not None
    outcome = Outcome(
        columns=(("one", "INTEGER"),),
        rows=1,
        bytes=8,
        truncated=truncated,
        bytes_read=0,
        engine_seconds=0.001,
    )
    with TestCase.captureOnCommitCallbacks(execute=True):
        assert lifecycle.succeed(held=held, outcome=outcome, result_key="k", result_bytes=8)
    query.refresh_from_db()
    return query


def test_it_learns_from_receipts_for_the_device_and_the_workspace(
    workspace: Workspace, laptop: Laptop, owner: Actor
) -> None:
    for _ in range(12):
        query = laptop.run(workspace, run_seconds=3.0, engine_seconds=2.5)
    assert query.run_seconds == 3.0
    now = circumstances_of(laptop.actor, workspace, NOTHING)
    assert now.device.runs == 12
    assert 2.5 < now.device.factor < 3.0
    assert "slower than predicted over the last 12 runs" in now.device.in_words
    assert now.server.factor == 1.0
    assert circumstances_of(owner, workspace, NOTHING).device.runs == 0
    planned = services.explain_query(actor=laptop.actor, workspace=workspace, sql=SQL)
    assert planned.placement.local is not None
    assert planned.placement.local.correction == now.device.factor
    assert "device-correction" in [reason.code for reason in planned.placement.reasons]


def test_it_learns_from_the_server_apart(workspace: Workspace, analyst: Actor) -> None:
    query = run_on_server(workspace, analyst)
    assert query.run_seconds is not None
    now = circumstances_of(analyst, workspace, NOTHING)
    assert (now.server.runs, now.device.runs) == (1, 0)
    assert now.server.factor < 1.0


@pytest.mark.django_db(transaction=True)
def test_it_learns_only_from_an_end_that_was_committed(workspace: Workspace, owner: Actor) -> None:
    query = make_query(workspace, owner, plan=PLAN)
    held = lifecycle.claim(query_id=query.id, worker="w")
    assert held is not None
    outcome = Outcome((("one", "INTEGER"),), 1, 4, False, 0, 0.1)
    seen = []

    def landed() -> None:
        seen.append(LearnedCorrection.objects.count())
        if len(seen) == 1:
            raise NotLanded

    def succeed() -> bool:
        return lifecycle.succeed(
            held=held, outcome=outcome, result_key="k", result_bytes=8, landed=landed
        )

    with pytest.raises(NotLanded):
        succeed()
    assert succeed()
    assert seen == [0, 0]
    assert LearnedCorrection.objects.get().runs == 1
    assert not succeed()  # its claim is used up
    assert LearnedCorrection.objects.get().runs == 1


def test_it_learns_in_the_database_what_the_formula_says(
    workspace: Workspace, analyst: Actor
) -> None:
    query = make_query(workspace, analyst, plan=PLAN)
    expected = Correction()
    for seconds in [3.0, 0.2, 0.0, 1000.0, *[1.5] * 12]:
        corrections.learn(query, seconds=seconds)
        actual = max(seconds, corrections.LEAST_SECONDS)
        expected = expected.learn(predicted=1.0, actual=actual)
        row = LearnedCorrection.objects.get()
        assert row.runs == expected.runs
        assert row.log_mean == pytest.approx(expected.log_mean)


def test_it_learns_nothing_from_half_a_run(
    workspace: Workspace, laptop: Laptop, analyst: Actor
) -> None:
    run_on_server(workspace, analyst, truncated=True)
    laptop.run(workspace, run_seconds=3.0, truncated=True)
    laptop.run(workspace, run_seconds=3.0, outcome="failed", problem={"code": "local-memory"})
    laptop.run(workspace)
    assert not LearnedCorrection.objects.exists()


def test_it_learns_from_a_receipt_once(workspace: Workspace, laptop: Laptop) -> None:
    query = laptop.run(workspace, run_seconds=3.0)
    assert query.receipt is not None
    services.accept_receipt(actor=laptop.actor, query=query, text=query.receipt["jws"])
    assert LearnedCorrection.objects.get().runs == 1


def test_it_believes_what_a_device_signs_about_itself(workspace: Workspace, laptop: Laptop) -> None:
    said: dict[str, Any] = {"memory_bytes": 8 * 10**9, "cores": 8}
    laptop.run(workspace, machine=said | {"link_bytes_per_second": 10**6})
    laptop.run(workspace, machine={"link_bytes_per_second": 3 * 10**6, "cached_bytes": {"k": 5}})
    known = Device.objects.get().identity
    assert (known.memory_bytes, known.cores) == (8 * 10**9, 8)
    assert (known.link_bytes_per_second, known.cached_bytes) == (2 * 10**6, {"k": 5})
    laptop.run(workspace, machine={"cached_bytes": {}})
    assert Device.objects.get().cached_bytes == {}


@pytest.mark.parametrize(
    "machine",
    [
        "a laptop",
        {"memory_bytes": -1, "cores": True, "link_bytes_per_second": 1e99},
        {"cores": 2**40, "cached_bytes": [1]},
        {"cached_bytes": {"k": "much", "l": -1}},
        {"cached_bytes": {str(number): 1 for number in range(2000)}},
    ],
)
def test_it_leaves_out_what_makes_no_sense(
    workspace: Workspace, laptop: Laptop, machine: Any
) -> None:
    assert laptop.run(workspace, machine=machine).state == QueryState.SUCCEEDED
    known = Device.objects.get().identity
    assert (known.memory_bytes, known.cores, known.link_bytes_per_second) == (None, None, None)
    assert known.cached_bytes == {}


def test_it_forgets_when_asked(
    workspace: Workspace,
    laptop: Laptop,
    owner: Actor,
    steward: Actor,
    signed_in: Callable[[Actor], Client],
) -> None:
    laptop.run(workspace, run_seconds=3.0, machine={"link_bytes_per_second": 10**6})
    with pytest.raises(NotAllowed):
        services.reset_predictions(actor=steward, device=laptop.device)
    address = f"/api/v1/devices/{laptop.device.id}/reset-predictions"
    assert signed_in(laptop.actor).post(address).json() == {"forgotten": 1}
    assert signed_in(owner).post(address).json() == {"forgotten": 0}
    assert not LearnedCorrection.objects.exists()
    assert Device.objects.get().link_bytes_per_second is None
    events = AuditRecord.objects.filter(event="device.predictions_reset")
    assert events.count() == 2


def test_it_forgets_from_the_devices_page(
    workspace: Workspace, laptop: Laptop, signed_in: Callable[[Actor], Client]
) -> None:
    laptop.run(workspace, run_seconds=3.0)
    client = signed_in(laptop.actor)
    address = f"/devices/{laptop.device.id}/reset-predictions"
    assert address in client.get("/devices").content.decode()
    page = client.post(address, follow=True).content.decode()
    assert "laptop is forgotten" in page
    assert not LearnedCorrection.objects.exists()


def test_it_counts_those_whose_turn_is_before(
    workspace: Workspace, analyst: Actor, owner: Actor
) -> None:
    run_on_server(workspace, analyst)
    Query.objects.update(run_seconds=4.0)
    for _ in range(3):
        make_query(workspace, owner)
    make_query(workspace, owner, is_heavy=True)
    make_query(workspace, owner, priority=2)
    load = circumstances_of(analyst, workspace, NOTHING).load
    assert (load.queued, load.wait_seconds) == (1, 4.0)
    assert circumstances_of(owner, workspace, NOTHING).load.queued == 3
    heavy = circumstances_of(analyst, workspace, Estimate((), 0, 10**12)).load
    assert heavy.queued == 1
    found = services.explain_query(actor=analyst, workspace=workspace, sql=SQL).placement
    assert found.server.wait_seconds == 4.0
    assert "server-queue" in [reason.code for reason in found.reasons]


def test_it_says_in_the_browser_what_the_persons_device_would_take(
    workspace: Workspace, laptop: Laptop, analyst: Actor, signed_in: Callable[[Actor], Client]
) -> None:
    strip = signed_in(analyst).post(PLANS, {"sql": SQL}).content.decode()
    assert "server about 0.3 s, laptop about 0.2 s" in strip
    accounts.revoke_device(actor=analyst, device=laptop.device)
    strip = signed_in(analyst).post(PLANS, {"sql": SQL}).content.decode()
    assert "server about 0.3 s" in strip
    assert "laptop about" not in strip


# --- The server takes over --------------------------------------------------------------------
def outgrown(workspace: Workspace, laptop: Laptop) -> Query:
    return laptop.run(workspace, outcome="failed", problem={"code": "local-memory"})


def test_it_takes_over_what_outgrew_a_machine(workspace: Workspace, laptop: Laptop) -> None:
    earlier = outgrown(workspace, laptop)
    submission = services.submit_query(
        actor=laptop.actor,
        workspace=workspace,
        sql=SQL,
        requested=RequestedPlace.SERVER,
        handed_over_from=earlier.id,
    )
    query = submission.query
    assert (query.place, query.handed_over_from) == (Place.SERVER, earlier)
    assert query.plan["why"].startswith("It outgrew the memory of your machine")
    recorded = AuditRecord.objects.filter(event="query.submitted").latest("id")
    assert recorded.after is not None
    assert recorded.after["handed_over_from"] == str(earlier.id)


def test_it_takes_over_nothing_else(
    workspace: Workspace, laptop: Laptop, owner: Actor, cast: Cast
) -> None:
    earlier = outgrown(workspace, laptop)
    other = laptop.run(workspace, outcome="failed", problem={"code": "engine-error"})
    server, local = RequestedPlace.SERVER, RequestedPlace.LOCAL
    for actor, sql, requested, query_id in (
        (owner, SQL, server, earlier.id),
        (laptop.actor, "SELECT 2", server, earlier.id),
        (laptop.actor, SQL, local, earlier.id),
        (laptop.actor, SQL, server, other.id),
        (laptop.actor, SQL, server, uuid4()),
        (replace(cast.actor("agent")), SQL, server, earlier.id),
    ):
        with pytest.raises(NotHandedOver):
            services.submit_query(
                actor=actor,
                workspace=workspace,
                sql=sql,
                requested=requested,
                handed_over_from=query_id,
            )
