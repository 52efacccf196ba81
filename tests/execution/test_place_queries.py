"""Where a query runs is a table: who asks, what is wanted, what is allowed, what it weighs."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as some

from accounts.domain import Actor, DeviceIdentity, DeviceStatus, PrincipalKind
from execution.domain import Estimate, Place, Placement, RequestedPlace, TableEstimate
from execution.placement import MEANINGFUL_SECONDS, handed_over, place
from execution.timing import Circumstances, Correction, ServerLoad
from governance.domain import Action, ColumnMask, Decision, Obligations, PolicyReference

DEVICE = DeviceIdentity(UUID(int=1), "laptop", "thumb", DeviceStatus.APPROVED, 16 * 10**9)
PERSON = Actor(PrincipalKind.USER, UUID(int=2), "ada", UUID(int=3), device=DEVICE)
WITHOUT_DEVICE = replace(PERSON, device=None)
PENDING = replace(PERSON, device=replace(DEVICE, status=DeviceStatus.PENDING))
SMALL_DEVICE = replace(PERSON, device=replace(DEVICE, memory_bytes=10**8))
UNKNOWN_MEMORY = replace(PERSON, device=replace(DEVICE, memory_bytes=None))
SLOW_LINK = replace(PERSON, device=replace(DEVICE, link_bytes_per_second=10**6))
FAST_LINK = replace(PERSON, device=replace(DEVICE, link_bytes_per_second=10**9))
HOLDER = replace(PERSON, device=replace(DEVICE, cached_bytes={"k": 10**12}))
AGENT = Actor(PrincipalKind.SERVICE_ACCOUNT, UUID(int=4), "agent", UUID(int=3))

MB = 10**6


def decision(*policies: str, allowed: bool = True, masked: bool = False) -> Decision:
    return Decision(
        allowed=allowed,
        action=Action.TABLE_MATERIALIZE_LOCALLY,
        securable_key="table:1",
        securable_label="lake.main.people",
        reason="Tables tagged personal-data never leave the server.",
        determined_by=tuple(PolicyReference(name, 1) for name in policies),
        remedy="Run it on the server.",
        obligations=Obligations(masks=(ColumnMask("a", "'*'", "m"),)) if masked else Obligations(),
    )


YES = decision("people-materialize-locally")
PERSONAL = decision("personal-data-stays-on-the-server", allowed=False)
NO_DEVICE = decision("device-must-be-approved", allowed=False)
BOTH = decision(
    "personal-data-stays-on-the-server", "device-must-be-approved", allowed=False
)  # fmt: skip
MASKED = decision("analyst-queries", masked=True)
AUTO, SERVER, LOCAL = RequestedPlace.AUTO, RequestedPlace.SERVER, RequestedPlace.LOCAL


def estimate(scan_bytes: int, memory_bytes: int = 64 * MB) -> Estimate:
    table = TableEstimate("k", "l", ("a",), scan_bytes, 10**12, 1, 1, 1, (1,))
    return Estimate((table,), 0, memory_bytes)


CASES = {
    # name: actor, wanted, decision, bytes, memory → place, code of what settled it
    "small goes to the laptop": (PERSON, AUTO, YES, 8 * MB, MB, Place.LOCAL, "small"),
    "a slow link": (SLOW_LINK, AUTO, YES, 8 * MB, MB, Place.SERVER, "server-quicker"),
    "a fast link": (FAST_LINK, AUTO, YES, 150 * MB, MB, Place.LOCAL, "small"),
    "an unknown link": (PERSON, AUTO, YES, 150 * MB, MB, Place.SERVER, "server-quicker"),
    "what it holds": (HOLDER, AUTO, YES, 300 * MB, MB, Place.LOCAL, "device-quicker"),
    "large stays": (PERSON, AUTO, YES, 300 * MB, MB, Place.SERVER, "large"),
    "over the limit": (PERSON, AUTO, YES, 3000 * MB, MB, Place.SERVER, "over-local-limit"),
    "little memory": (SMALL_DEVICE, AUTO, YES, MB, 90 * MB, Place.SERVER, "device-memory"),
    "unknown memory": (UNKNOWN_MEMORY, AUTO, YES, MB, 90 * MB, Place.LOCAL, "small"),
    "wanted on the server": (PERSON, SERVER, YES, 8 * MB, MB, Place.SERVER, "requested"),
    "wanted on the laptop": (PERSON, LOCAL, YES, 300 * MB, MB, Place.LOCAL, "requested"),
    "wanted above the limit": (PERSON, LOCAL, YES, 3000 * MB, MB, Place.LOCAL, "requested"),
    "agents run on the server": (AGENT, AUTO, NO_DEVICE, MB, MB, Place.SERVER, "service-account"),
    "agents cannot choose": (AGENT, LOCAL, NO_DEVICE, MB, MB, None, "service-account"),
    "no device": (WITHOUT_DEVICE, AUTO, NO_DEVICE, MB, MB, Place.SERVER, "no-approved-device"),
    "no device, but wanted": (WITHOUT_DEVICE, LOCAL, NO_DEVICE, MB, MB, None, "no-approved-device"),
    "device not approved": (PENDING, LOCAL, NO_DEVICE, MB, MB, None, "no-approved-device"),
    "personal data": (PERSON, AUTO, PERSONAL, MB, MB, Place.SERVER, "policy"),
    "personal data, but wanted": (PERSON, LOCAL, PERSONAL, MB, MB, None, "policy"),
    "personal data without a device": (WITHOUT_DEVICE, LOCAL, BOTH, MB, MB, None, "policy"),
    "policy need not matter": (PERSON, SERVER, PERSONAL, MB, MB, Place.SERVER, "requested"),
    "masked data": (PERSON, AUTO, MASKED, MB, MB, Place.SERVER, "governed-data"),
    "masked data, but wanted": (PERSON, LOCAL, MASKED, MB, MB, None, "governed-data"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_it_places(case: str) -> None:
    actor, wanted, local, scan_bytes, memory_bytes, expected, code = CASES[case]
    found = place(
        actor=actor,
        requested=wanted,
        estimate=estimate(scan_bytes, memory_bytes),
        decisions=[local] if local is MASKED else [YES],
        local_decisions=[YES if local is MASKED else local],
        local_max_bytes=2000 * MB,
    )
    assert found.place is expected
    settled = found.refusal or next(reason for reason in found.reasons if reason.decisive)
    assert settled.code == code
    assert found.why == settled.text
    assert found.local_allowed is (local is YES)
    if expected is Place.LOCAL:
        assert found.local_allowed


def test_it_says_what_would_change_a_refusal() -> None:
    found = place(
        actor=PERSON,
        requested=LOCAL,
        estimate=estimate(MB),
        decisions=[YES],
        local_decisions=[PERSONAL],
        local_max_bytes=MB,
    )
    assert "lake.main.people" in found.why
    assert "Run it on the server." in found.why


def test_it_never_hides_a_reason_behind_another() -> None:
    found = place(
        actor=PENDING,
        requested=AUTO,
        estimate=estimate(3000 * MB),
        decisions=[MASKED],
        local_decisions=[BOTH],
        local_max_bytes=MB,
    )
    assert [reason.code for reason in found.reasons] == [
        "governed-data",
        "policy",
        "no-approved-device",
        "over-local-limit",
        "large",
    ]
    assert [reason.code for reason in found.reasons if reason.decisive] == ["governed-data"]


def placed(
    actor: Actor = PERSON,
    wanted: RequestedPlace = AUTO,
    *,
    scan_bytes: int = 8 * MB,
    held_bytes: int = 0,
    decisions: tuple[Decision, ...] = (YES,),
    local: tuple[Decision, ...] = (YES,),
    now: Circumstances | None = None,
) -> Placement:
    table = TableEstimate("k", "l", ("a",), scan_bytes, 10**12, 1, 1, 1, (1,))
    return place(
        actor=actor,
        requested=wanted,
        estimate=Estimate((table,), 0, 64 * MB + held_bytes, held_bytes),
        decisions=list(decisions),
        local_decisions=list(local),
        local_max_bytes=2000 * MB,
        circumstances=now or Circumstances(),
    )


def codes(found: Placement) -> list[str]:
    return [reason.code for reason in found.reasons]


def test_it_says_both_times() -> None:
    assert placed().times == "server about 0.4 s, here about 0.9 s"
    assert placed(AGENT, local=(NO_DEVICE,)).times == "server about 0.4 s"
    assert "min" in placed(SLOW_LINK, scan_bytes=1000 * MB).times


def test_it_leaves_a_busy_server_alone() -> None:
    busy = Circumstances(ServerLoad(queued=9, wait_seconds=12.0))
    found = placed(now=busy)
    assert found.why == "Your machine is quicker: about 0.9 s, the server about 12.4 s."
    assert "server-queue" in codes(found)
    assert placed(SLOW_LINK, scan_bytes=4 * MB, now=busy).place is Place.LOCAL
    assert placed(scan_bytes=300 * MB, now=busy).place is Place.SERVER


def test_it_corrects_by_what_it_learned_and_says_so() -> None:
    slow = Correction()
    for _ in range(12):
        slow = slow.learn(predicted=1.0, actual=6.0)
    found = placed(now=Circumstances(device=slow))
    assert found.place is Place.SERVER
    assert found.local is not None
    assert found.local.seconds > 4
    assert found.local.model_seconds < 1
    said = next(reason for reason in found.reasons if reason.code == "device-correction")
    assert said.text.startswith("laptop was 5.")
    assert said.text.endswith("slower than predicted over the last 12 runs here.")
    assert said.favours is None


def test_it_says_why_the_server_took_over() -> None:
    found = handed_over(placed(wanted=SERVER))
    assert "outgrew" in found.why
    assert [reason.code for reason in found.reasons if reason.decisive] == ["handed-over"]


def test_it_predicts_more_for_more_over_decades_of_sizes() -> None:
    found = [placed(scan_bytes=10**power) for power in range(4, 10)]
    server = [one.server.seconds for one in found]
    local = [one.local.seconds for one in found if one.local]
    assert server == sorted(server)
    assert local == sorted(local)
    assert (server[0], local[0]) == (0.35, 0.2)
    assert 7 < server[-1] < 9
    assert 80 < local[-1] < 90


# --- What always holds ------------------------------------------------------------------------
ACTORS = some.sampled_from([PERSON, WITHOUT_DEVICE, PENDING, SMALL_DEVICE, AGENT, HOLDER])
WISHES = some.sampled_from(RequestedPlace)
BYTES = some.integers(0, 10**12)
DEVICES = some.builds(
    replace,
    some.just(DEVICE),
    memory_bytes=some.none() | some.integers(1, 10**12),
    cores=some.none() | some.integers(1, 256),
    link_bytes_per_second=some.none() | some.integers(1, 10**12),
    cached_bytes=some.dictionaries(some.just("k"), some.integers(0, 10**12)),
)
CORRECTIONS = some.builds(Correction, some.floats(-9, 9), some.integers(0, 10**6))
LOADS = some.builds(ServerLoad, some.integers(0, 1000), some.floats(0, 10**4), some.integers(1, 64))


@given(
    actor=ACTORS,
    wanted=WISHES,
    scan_bytes=BYTES,
    held_bytes=BYTES,
    local=some.sampled_from([YES, PERSONAL, NO_DEVICE]),
    masked=some.booleans(),
    now=some.builds(Circumstances, LOADS, CORRECTIONS, CORRECTIONS),
)
def test_it_never_crosses_a_blocker_and_never_changes_a_wish(
    *,
    actor: Actor,
    wanted: RequestedPlace,
    scan_bytes: int,
    held_bytes: int,
    local: Decision,
    masked: bool,
    now: Circumstances,
) -> None:
    found, again = (
        placed(
            actor,
            wanted,
            scan_bytes=scan_bytes,
            held_bytes=held_bytes,
            decisions=(MASKED if masked else YES,),
            local=(local,),
            now=now,
        )
        for _ in range(2)
    )
    assert found == again
    assert sum(reason.decisive for reason in found.reasons) == 1
    is_open = actor.is_person and actor.device is not None and actor.device.is_approved
    may = is_open and not masked and local is not PERSONAL
    assert found.local_allowed is may
    if not may:
        assert found.place is not Place.LOCAL
    if wanted is SERVER:
        assert found.place is Place.SERVER
    if wanted is LOCAL:
        assert found.place is (Place.LOCAL if may else None)
        assert (found.refusal is None) is may
    assert found.why


@given(DEVICES, BYTES, BYTES, BYTES, LOADS)
def test_it_never_fetches_more_here_where_less_was_too_much(
    device: DeviceIdentity, one: int, other: int, held_bytes: int, load: ServerLoad
) -> None:
    actor, now = replace(PERSON, device=device), Circumstances(load)
    less, more = (
        placed(actor, scan_bytes=size, held_bytes=held_bytes, now=now)
        for size in sorted((one, other))
    )
    if less.place is Place.SERVER:
        assert more.place is Place.SERVER
    assert less.server.seconds <= more.server.seconds


@given(
    device=DEVICES,
    scan_bytes=BYTES,
    held_bytes=BYTES,
    load=LOADS,
    server=CORRECTIONS,
    learned=CORRECTIONS,
)
def test_it_takes_the_quicker_place_where_neither_is_forbidden(
    *,
    device: DeviceIdentity,
    scan_bytes: int,
    held_bytes: int,
    load: ServerLoad,
    server: Correction,
    learned: Correction,
) -> None:
    actor, now = replace(PERSON, device=device), Circumstances(load, server, learned)
    found = placed(actor, scan_bytes=scan_bytes, held_bytes=held_bytes, now=now)
    heavy = {"over-local-limit", "device-memory", "large"} & set(codes(found))
    assert found.local is not None
    gained = found.local.seconds - found.server.seconds
    expected = heavy or gained > MEANINGFUL_SECONDS
    assert found.place is (Place.SERVER if expected else Place.LOCAL)


@given(some.lists(some.floats(0.01, 100), min_size=1, max_size=60))
def test_it_learns_no_more_than_it_saw(ratios: list[float]) -> None:
    correction = Correction()
    for ratio in ratios:
        correction = correction.learn(predicted=2.0, actual=2.0 * ratio)
    clamped = [min(max(ratio, 0.1), 10.0) for ratio in ratios]
    assert correction.runs == len(ratios)
    assert min(1.0, *clamped) - 1e-9 <= correction.factor <= max(1.0, *clamped) + 1e-9
