"""What a plan made in a browser would say in the person's terminal: a browser has no device key."""

from __future__ import annotations

from dataclasses import replace

from accounts.domain import Actor, DeviceStatus
from accounts.models import Device
from execution import timing
from execution.circumstances import circumstances_of
from execution.domain import Plan
from workspaces.models import Workspace

LASTING = frozenset({"governed-data", "policy", "service-account"})
"""Reasons that forbid a person's machine whichever it is."""


def times_of(plan: Plan, actor: Actor, workspace: Workspace) -> str:
    """Return the plan's times, with that of the person's device where only its key is missing.

    `server about 0.4 s, Ana's laptop about 0.9 s`: of the approved device that was seen last.
    """
    placement = plan.placement
    if placement.local or LASTING & {reason.code for reason in placement.reasons}:
        return placement.times
    approved = Device.objects.filter(user_id=actor.id, status=DeviceStatus.APPROVED)
    device = approved.order_by("-last_seen_at", "-created_at").first()
    if device is None:
        return placement.times
    identity = device.identity
    now = circumstances_of(replace(actor, device=identity), workspace, plan.estimate)
    there = timing.on_device(plan.estimate, identity, now)
    return f"{placement.times}, {device.name} {there.about}"
