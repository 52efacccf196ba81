"""A policy's replays on its page: begun, followed while a worker runs them, read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_http_methods, require_POST

from accounts.domain import Actor
from console.access import actor_of, signed_in, workspace_of
from governance import inventory
from governance.api.simulation import told
from governance.domain import ReplayState
from governance.models import Policy, PolicyReplay
from governance.policy_selectors import find_policy, find_replay
from governance.scopes import known_keys
from governance.services.replays import UNFINISHED, cancel_replay, replay_policy
from governance.views import composer
from problems import Problem

DAYS = (1, 7, 30, 90)
SHOWN = 30
FATES = {
    "fails": ("would be refused", "bad", "shield-x"),
    "moves": ("would run elsewhere", "", "laptop"),
    "shown": ("would show something else", "warn", "fingerprint"),
    "allowed": ("would be allowed now", "good", "shield-check"),
}


@dataclass(frozen=True, slots=True)
class Group:
    """What would have fared alike, with how often it was asked."""

    title: str
    tone: str
    icon: str
    count: int
    affected: list[dict[str, Any]]


@require_POST
@signed_in
def policy_replay(request: HttpRequest, workspace: str, policy: str) -> HttpResponseBase:
    """Ask what was recorded again under what the editor holds, or the open version."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    found = find_policy(actor, place, policy)
    written = request.POST.get("days", "")
    days = int(written) if written.isdecimal() and int(written) in DAYS else DAYS[1]
    text = composer.posted(found, request.POST).text if "mode" in request.POST else None
    try:
        replay = replay_policy(actor=actor, policy=found, days=days, text=text)
    except Problem as problem:
        context = {"problem": problem.as_dict(), "policy": found, "workspace": place}
        return render(request, "governance/replay.html", context | {"all_days": DAYS})
    return _shown(request, actor, found, replay)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def replay_progress(
    request: HttpRequest, workspace: str, policy: str, replay: UUID
) -> HttpResponseBase:
    """Show how far a replay is, and what it found; posted to, stop it."""
    actor, place = actor_of(request), workspace_of(request, workspace)
    found = find_policy(actor, place, policy)
    asked = find_replay(actor, found, replay)
    if request.method == "POST":
        asked = cancel_replay(actor=actor, replay=asked)
    return _shown(request, actor, found, asked)


def _shown(
    request: HttpRequest, actor: Actor, policy: Policy, replay: PolicyReplay
) -> HttpResponse:
    context: dict[str, Any] = {
        "workspace": policy.workspace,
        "policy": policy,
        "replay": replay,
        "all_days": DAYS,
        "is_running": replay.state in UNFINISHED,
        "is_cancelled": replay.state == ReplayState.CANCELLED,
        "percent": round(100 * replay.done / replay.total) if replay.total else 0,
    }
    if replay.result is not None:
        context |= {"result": replay.result, "groups": _groups(actor, policy, replay)}
    return render(request, "governance/replay.html", context)


def _groups(actor: Actor, policy: Policy, replay: PolicyReplay) -> list[Group]:
    affected = (replay.result or {}).get("affected", [])
    keys = {read["key"] for one in affected for read in one["tables"]}
    known = known_keys(actor, inventory.keyed(policy.workspace, keys).values())
    said = told(replay, known) or {}
    return [
        Group(*heading, count, [one for one in said["affected"] if one["fate"] == fate][:SHOWN])
        for fate, heading in FATES.items()
        if (count := said["counts"].get(fate, 0))
    ]
