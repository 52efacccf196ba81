"""Where a query runs is a table: who asks, what is wanted, what is allowed, what it weighs."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from accounts.domain import Actor, DeviceIdentity, DeviceStatus, PrincipalKind
from execution.domain import Estimate, Place, RequestedPlace, TableEstimate
from execution.placement import place
from governance.domain import Action, ColumnMask, Decision, Obligations, PolicyReference

DEVICE = DeviceIdentity(UUID(int=1), "laptop", "thumb", DeviceStatus.APPROVED, 16 * 10**9)
PERSON = Actor(PrincipalKind.USER, UUID(int=2), "ada", UUID(int=3), device=DEVICE)
WITHOUT_DEVICE = replace(PERSON, device=None)
PENDING = replace(PERSON, device=replace(DEVICE, status=DeviceStatus.PENDING))
SMALL_DEVICE = replace(PERSON, device=replace(DEVICE, memory_bytes=10**8))
UNKNOWN_MEMORY = replace(PERSON, device=replace(DEVICE, memory_bytes=None))
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
    assert found.local_allowed is (found.local_seconds is not None)
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
