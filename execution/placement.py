"""Step 6: where a query runs, as a pure function that keeps every reason it weighed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from accounts.domain import Actor
from console.format import size as size_of
from execution.domain import Estimate, Place, Placement, Reason, RequestedPlace
from governance.domain import Decision

SMALL_BYTES = 200 * 10**6
"""Up to this, a laptop fetches and finishes before a person looks up."""

MEMORY_SHARE = 0.5
"""How much of a device's memory one query may take."""

DEVICE_POLICY = "device-must-be-approved"
SERVER_START_SECONDS = 0.35
LOCAL_START_SECONDS = 0.2
SERVER_BYTES_PER_SECOND = 250 * 10**6
LOCAL_BYTES_PER_SECOND = 12.5 * 10**6
HELD_BYTES_PER_SECOND = 500 * 10**6


def place(
    *,
    actor: Actor,
    requested: RequestedPlace,
    estimate: Estimate,
    decisions: Sequence[Decision],
    local_decisions: Sequence[Decision],
    local_max_bytes: int,
) -> Placement:
    """Return where the query runs.

    `decisions` are those that let it run at all: raw files of a table with a mask, a row filter
    or a hidden column never leave the server, whatever `local_decisions` say.

    A person may choose within what policy allows; a place that is not allowed is refused, never
    silently changed. Without a choice, small queries go to the person's own machine.
    """
    blockers = _blockers(actor, decisions, local_decisions)
    weighed = [*blockers, *_weights(actor, estimate, local_max_bytes)]
    settled = _settle(requested, blockers, weighed)
    refusal = None
    if requested is RequestedPlace.LOCAL and blockers:
        refusal = replace(blockers[0], decisive=True)
    return Placement(
        place=None if refusal else settled.favours,
        reasons=tuple(_marked(weighed, settled)),
        local_allowed=not blockers,
        server_seconds=_seconds(estimate, SERVER_START_SECONDS, SERVER_BYTES_PER_SECOND),
        local_seconds=(
            None if blockers else _seconds(estimate, LOCAL_START_SECONDS, LOCAL_BYTES_PER_SECOND)
        ),
        refusal=refusal,
    )


def _blockers(
    actor: Actor, decisions: Sequence[Decision], local_decisions: Sequence[Decision]
) -> list[Reason]:
    """Return what forbids the person's own machine, the most lasting reason first."""
    found = []
    if not actor.is_person:
        text = "Service accounts run on the server; only people have a machine of their own."
        found.append(Reason("service-account", text, Place.SERVER))
    for decision in decisions:
        if not decision.obligations.is_empty:
            text = f"{decision.securable_label} is masked or filtered for you; its files stay here."
            found.append(Reason("governed-data", text, Place.SERVER))
    for decision in local_decisions:
        names = {policy.name for policy in decision.determined_by}
        if not decision.allowed and names != {DEVICE_POLICY} and actor.is_person:
            text = f"{decision.securable_label}: {decision.reason} {decision.remedy}".strip()
            found.append(Reason("policy", text, Place.SERVER))
    if actor.is_person and not (actor.device and actor.device.is_approved):
        found.append(Reason("no-approved-device", _device_text(actor), Place.SERVER))
    return found


def _device_text(actor: Actor) -> str:
    if actor.device is None:
        return (
            "This request comes from no enrolled device; `upend login` on your machine enrolls it."
        )
    return (
        f"The device {actor.device.name} is {actor.device.status.value}; "
        "an administrator can approve it."
    )


def _weights(actor: Actor, estimate: Estimate, local_max_bytes: int) -> list[Reason]:
    """Return what speaks for either place where both are allowed, the heaviest first."""
    found = []
    size = size_of(estimate.scan_bytes)
    only = f"It reads only {size}." if estimate.scan_bytes else "It reads no file at all."
    if estimate.scan_bytes > local_max_bytes:
        limit = size_of(local_max_bytes)
        text = f"It reads {size}; the workspace sends at most {limit} to a person's machine."
        found.append(Reason("over-local-limit", text, Place.SERVER))
    memory = actor.device.memory_bytes if actor.device else None
    if memory is not None and estimate.memory_bytes > memory * MEMORY_SHARE:
        text = (
            f"It may need {size_of(estimate.memory_bytes)} of memory; "
            f"the device has {size_of(memory)}."
        )
        found.append(Reason("device-memory", text, Place.SERVER))
    if estimate.scan_bytes <= SMALL_BYTES:
        found.append(Reason("small", only, Place.LOCAL))
    else:
        text = f"It reads {size}; the server is nearer to the data."
        found.append(Reason("large", text, Place.SERVER))
    return found


def _settle(
    requested: RequestedPlace, blockers: Sequence[Reason], weighed: Sequence[Reason]
) -> Reason:
    """Return the reason that settles the place."""
    match requested:
        case RequestedPlace.SERVER:
            return Reason("requested", "You chose the server.", Place.SERVER)
        case RequestedPlace.LOCAL:
            return Reason("requested", "You chose your own machine.", Place.LOCAL)
    return blockers[0] if blockers else weighed[0]


def _marked(weighed: Sequence[Reason], settled: Reason) -> list[Reason]:
    """Return all reasons with the one that settled it marked, and first if it was a wish."""
    decisive = replace(settled, decisive=True)
    if settled in weighed:
        return [decisive if reason is settled else reason for reason in weighed]
    return [decisive, *weighed]


def _seconds(estimate: Estimate, start: float, bytes_per_second: float) -> float:
    """Return a rough wall-clock time: start, fetch, compute."""
    fetching = estimate.scan_bytes / bytes_per_second
    return round(start + fetching + estimate.memory_bytes / HELD_BYTES_PER_SECOND, 2)
