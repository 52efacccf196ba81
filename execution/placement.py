"""Step 6: where a query runs, as a pure function that keeps every reason it weighed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from accounts.domain import Actor, DeviceIdentity
from console.format import size as size_of
from execution import timing
from execution.domain import (
    Estimate,
    Place,
    Placement,
    Prediction,
    Reason,
    RequestedPlace,
    TableEstimate,
)
from execution.extracts.domain import Offer, Unavailable
from execution.timing import Circumstances
from governance.domain import Decision

SMALL_BYTES = 200 * 10**6
"""More than this is not fetched to a person's machine unless they ask for it."""

MEMORY_SHARE = 0.5
"""How much of a device's memory one query may take."""

MEANINGFUL_SECONDS = 1.0
"""A place must be quicker by so much to be chosen for it: ties go to the person's machine."""

DEVICE_POLICY = "device-must-be-approved"
AS_EVER = Circumstances()
TIME_TRAVEL = Reason(
    "time-travel",
    "AT (…) gives tables snapshots of their own, which the server holds side by side; to read a"
    " whole catalog as it was on your machine, name its snapshot beside the query.",
    Place.SERVER,
)


def place(
    *,
    actor: Actor,
    requested: RequestedPlace,
    estimate: Estimate,
    decisions: Sequence[Decision],
    local_decisions: Sequence[Decision],
    local_max_bytes: int,
    circumstances: Circumstances = AS_EVER,
    extracts: Sequence[Offer | Unavailable] = (),
    has_moments: bool = False,
) -> Placement:
    """Return where the query runs.

    `decisions` are those that let it run at all: raw files of a table with a mask, a row filter
    or a hidden column never leave the server, whatever `local_decisions` say. Only where one of
    `extracts` stands for the table may a person's machine read that.

    A person may choose within what policy allows; a place that is not allowed is refused, never
    silently changed. With `has_moments`, tables have snapshots of their own, which only the server
    holds side by side. Without a choice, heavy queries start on the server; of others the quicker
    place is taken, and the person's own machine where that makes no difference they would feel.
    """
    offers = [found for found in extracts if isinstance(found, Offer)]
    blockers = _blockers(actor, decisions, local_decisions, extracts)
    if has_moments:
        blockers.append(TIME_TRAVEL)
    server = timing.on_server(estimate, circumstances)
    fetched = with_extracts(estimate, offers)
    wait = max((offer.seconds for offer in offers), default=0.0)
    local = (
        None
        if blockers or actor.device is None
        else timing.on_device(fetched, actor.device, circumstances, wait_seconds=wait)
    )
    weighed = [
        *blockers,
        *_limits(actor.device, fetched, local_max_bytes),
        *_weights(actor.device, fetched, server, local),
    ]
    settled = _settle(requested, blockers, weighed)
    refusal = None
    if requested is RequestedPlace.LOCAL and blockers:
        refusal = replace(blockers[0], decisive=True)
    return Placement(
        place=None if refusal else settled.favours,
        reasons=(
            *_marked(weighed, settled),
            *_of_extracts(offers, local),
            *_remarks(actor.device, fetched, circumstances),
        ),
        server=server,
        local=local,
        refusal=refusal,
    )


def with_extracts(estimate: Estimate, offers: Iterable[Offer]) -> Estimate:
    """Return the estimate of a run that reads extracts in tables' places.

    Under a key of its own, since what a device holds of a table is not of its extract.
    """
    by_key = {offer.table_key: offer for offer in offers}

    def taken(table: TableEstimate) -> TableEstimate:
        offer = by_key.get(table.table_key)
        if offer is None:
            return table
        key = f"extract:{offer.digest}"
        return replace(table, table_key=key, scan_bytes=offer.read_bytes, files=1, total_files=1)

    return replace(estimate, tables=tuple(map(taken, estimate.tables)))


def fell_back(placement_json: dict[str, Any], why: str) -> dict[str, Any]:
    """Return a plan's JSON when the extracts of its local run could not be made, with that why."""
    others = [known | {"decisive": False} for known in placement_json.get("reasons", [])]
    reason = {"code": "extract-failed", "text": why, "favours": Place.SERVER.value}
    return placement_json | {
        "place": Place.SERVER.value,
        "why": why,
        "reasons": [reason | {"decisive": True}, *others],
    }


def handed_over(placement: Placement) -> Placement:
    """Return the placement of a query that outgrew its person's machine, with that as its why."""
    text = "It outgrew the memory of your machine; the server takes over."
    taken = Reason("handed-over", text, Place.SERVER, decisive=True)
    return replace(placement, reasons=(taken, *(r for r in placement.reasons if not r.decisive)))


def _blockers(
    actor: Actor,
    decisions: Sequence[Decision],
    local_decisions: Sequence[Decision],
    extracts: Sequence[Offer | Unavailable],
) -> list[Reason]:
    """Return what forbids the person's own machine, the most lasting reason first."""
    found = []
    if not actor.is_person:
        text = "Service accounts run on the server; only people have a machine of their own."
        found.append(Reason("service-account", text, Place.SERVER))
    missing = [extract for extract in extracts if isinstance(extract, Unavailable)]
    found += [Reason(one.code, one.text, Place.SERVER) for one in missing]
    known = {extract.table_key for extract in extracts}
    for decision in decisions:
        if not decision.obligations.is_empty and decision.securable_key not in known:
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


def _limits(
    device: DeviceIdentity | None, estimate: Estimate, local_max_bytes: int
) -> list[Reason]:
    """Return what makes the query too heavy for a person's machine, the hardest limit first."""
    found = []
    if estimate.scan_bytes > local_max_bytes:
        limit = size_of(local_max_bytes)
        size = size_of(estimate.scan_bytes)
        text = f"It reads {size}; the workspace sends at most {limit} to a person's machine."
        found.append(Reason("over-local-limit", text, Place.SERVER))
    memory = device.memory_bytes if device else None
    if memory is not None and estimate.memory_bytes > memory * MEMORY_SHARE:
        text = (
            f"It may need {size_of(estimate.memory_bytes)} of memory; "
            f"the device has {size_of(memory)}."
        )
        found.append(Reason("device-memory", text, Place.SERVER))
    return found


def _weights(
    device: DeviceIdentity | None,
    estimate: Estimate,
    server: Prediction,
    local: Prediction | None,
) -> list[Reason]:
    """Return what speaks for either place where both are allowed, the heaviest first."""
    found = []
    to_fetch = timing.bytes_to_fetch(estimate, device)
    if to_fetch > SMALL_BYTES:
        text = f"It reads {size_of(to_fetch)}; the server is nearer to the data."
        found.append(Reason("large", text, Place.SERVER))
    if local and local.seconds - server.seconds > MEANINGFUL_SECONDS:
        text = f"The server is quicker: {server.about}, your machine {local.about}."
        found.append(Reason("server-quicker", text, Place.SERVER))
    if local and server.seconds - local.seconds > MEANINGFUL_SECONDS:
        text = f"Your machine is quicker: {local.about}, the server {server.about}."
        found.append(Reason("device-quicker", text, Place.LOCAL))
    if to_fetch <= SMALL_BYTES:
        only = f"It reads only {size_of(to_fetch)}." if to_fetch else _nothing(estimate)
        found.append(Reason("small", only, Place.LOCAL))
    return found


def _nothing(estimate: Estimate) -> str:
    if estimate.scan_bytes:
        return "The device holds all that it reads."
    return "It reads no file at all."


def _of_extracts(offers: Sequence[Offer], local: Prediction | None) -> list[Reason]:
    """Return what a person's machine would read in place of governed tables."""
    if local is None:
        return []
    return [Reason("extract", f"{o.table_label}: {o.text}.", Place.LOCAL) for o in offers]


def _remarks(device: DeviceIdentity | None, estimate: Estimate, now: Circumstances) -> list[Reason]:
    """Return what changed the predictions without settling anything."""
    found = []
    held = estimate.scan_bytes - timing.bytes_to_fetch(estimate, device)
    if held:
        text = f"The device last said that it holds {size_of(held)} of what it reads."
        found.append(Reason("device-cache", text, Place.LOCAL))
    if now.load.wait_seconds:
        text = f"{now.load.queued} wait on the server: about {now.load.wait_seconds:.0f} s."
        found.append(Reason("server-queue", text, Place.LOCAL))
    if words := now.server.in_words:
        found.append(Reason("server-correction", f"The server was {words}."))
    if device and (words := now.device.in_words):
        found.append(Reason("device-correction", f"{device.name} was {words} here."))
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
