"""Replays: asked for by an author, run by a worker where they are large, kept with their result."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from celery import current_app
from django.db.models import F
from django.utils import timezone
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from accounts.domain import Actor
from accounts.models import Device
from audit import services as audit
from audit.domain import Event
from governance import recorded, securables
from governance.domain import Action, ReplayState
from governance.impact import within
from governance.models import Policy, PolicyReplay
from governance.proposals import Proposal, ending, proposed, with_text
from governance.recorded import Recorded
from governance.replay import Affected, Replay, Replayed
from governance.scopes import scope_of
from governance.selectors import facts_about
from governance.services.authorization import authorize
from governance.services.policies import rows
from problems import Conflict, Invalid, Problem
from workspaces.models import Workspace
from workspaces.selectors import principals_of

logger = structlog.get_logger(__name__)

RUN_REPLAY = "governance.run_replay"
MAX_DAYS = 90
MAX_UNFINISHED = 4
AT_ONCE = 2_000
"""So many recorded decisions are replayed while the author waits."""

BATCH = 5_000
MAX_KEPT = 500
"""Of what is affected, the most frequent is kept one by one; all is counted."""

ATTEMPTS = 2
SILENT_SECONDS = 120
"""A worker that says nothing for so long is gone."""

UNFINISHED = (ReplayState.QUEUED, ReplayState.RUNNING)


class TooManyReplays(Conflict):
    """The workspace has enough replays that have not ended."""

    code = "too-many-replays"
    title = "Other replays come first"


class _Stopped(Exception):
    """The replay was cancelled, or another worker has it."""


def replay_policy(
    *,
    actor: Actor,
    policy: Policy,
    days: int = 7,
    text: str | None = None,
    number: int | None = None,
    ends: bool = False,
) -> PolicyReplay:
    """Ask what was recorded in the last `days` again, under what `proposed` says; see there.

    A small one has its result at once; a large one is queued for a worker. Raises `Invalid`,
    `TooManyReplays`, and what `proposed` raises.
    """
    replay = _ask(actor=actor, policy=policy, days=days, text=text, number=number, ends=ends)
    if replay.total <= AT_ONCE:
        run_replay(replay.id)
        replay.refresh_from_db()
    else:
        say_it_waits(replay.id)
    return replay


@audit.service
def _ask(
    *,
    actor: Actor,
    policy: Policy,
    days: int,
    text: str | None,
    number: int | None,
    ends: bool,
) -> PolicyReplay:
    if not 1 <= days <= MAX_DAYS:
        raise Invalid(f"A replay goes back 1 to {MAX_DAYS} days.")
    wanted = proposed(actor=actor, policy=policy, text=text, number=number, ends=ends)
    rows.lock_set(policy.workspace_id)
    waiting = PolicyReplay.objects.filter(
        policy__workspace=policy.workspace_id, state__in=UNFINISHED
    )
    if waiting.count() >= MAX_UNFINISHED:
        raise TooManyReplays(
            f"{MAX_UNFINISHED} replays of this workspace wait or run.",
            hint="Wait for them, or cancel one.",
        )
    replay = PolicyReplay.objects.create(
        policy=policy,
        number=wanted.number,
        text=wanted.text,
        ends=wanted.ends,
        days=days,
        total=_count(policy.workspace, days),
        requested_by_id=rows.person_id(actor),
        requester=actor.label,
    )
    audit.record(
        actor=actor,
        event=Event.POLICY_REPLAYED,
        target=rows.target(policy),
        after={"replay": str(replay.id), "days": days, "version": wanted.number, "ends": ends},
    )
    return replay


@audit.service
def cancel_replay(*, actor: Actor, replay: PolicyReplay) -> PolicyReplay:
    """Stop a replay; one that has ended stays as it is. Raises `AccessDenied`."""
    authorize(actor, Action.POLICY_AUTHOR, scope_of(replay.policy))
    waiting = PolicyReplay.objects.filter(id=replay.id, state__in=UNFINISHED)
    if waiting.update(state=ReplayState.CANCELLED, finished_at=timezone.now()):
        audit.record(
            actor=actor,
            event=Event.POLICY_REPLAY_CANCELLED,
            target=rows.target(replay.policy),
            after={"replay": str(replay.id)},
        )
    replay.refresh_from_db()
    return replay


def say_it_waits(replay_id: UUID) -> None:
    """Tell a worker; where the broker is down, the sweep finds the row."""
    try:
        current_app.send_task(RUN_REPLAY, args=[str(replay_id)])
    except (OperationalError, RedisError, OSError) as error:
        logger.warning("broker_unreachable", task=RUN_REPLAY, error=type(error).__name__)


def sweep_replays() -> int:
    """Queue again what a lost worker left, and announce what waits; return how many wait."""
    silent = timezone.now() - timedelta(seconds=SILENT_SECONDS)
    lost = PolicyReplay.objects.filter(state=ReplayState.RUNNING, heartbeat_at__lt=silent)
    lost.filter(attempts__lt=ATTEMPTS).update(state=ReplayState.QUEUED)
    lost.update(
        state=ReplayState.FAILED,
        problem="The worker that ran it stopped answering, twice.",
        finished_at=timezone.now(),
    )
    waiting = PolicyReplay.objects.filter(state=ReplayState.QUEUED).order_by("created_at")
    found = list(waiting.values_list("id", flat=True)[:MAX_UNFINISHED])
    for replay_id in found:
        say_it_waits(replay_id)
    return len(found)


def run_replay(replay_id: UUID) -> None:
    """Run a replay that waits; a message that comes twice, or late, does no harm."""
    mine = PolicyReplay.objects.filter(id=replay_id)
    taken = mine.filter(state=ReplayState.QUEUED).update(
        state=ReplayState.RUNNING, attempts=F("attempts") + 1, done=0, heartbeat_at=timezone.now()
    )
    if not taken:
        return
    replay = mine.select_related("policy__workspace__organization").get()

    def beat(done: int | None = None) -> None:
        progress = {} if done is None else {"done": done}
        running = mine.filter(state=ReplayState.RUNNING, attempts=replay.attempts)
        if not running.update(heartbeat_at=timezone.now(), **progress):
            raise _Stopped

    try:
        result = as_result(replayed(_proposal(replay), replay.days, beat))
    except _Stopped:
        return
    except Problem as problem:
        _end(replay, state=ReplayState.FAILED, problem=problem.detail)
    except Exception:
        _end(replay, state=ReplayState.FAILED, problem="It failed; the server's log says why.")
        raise
    else:
        _end(replay, state=ReplayState.SUCCEEDED, result=result, done=result["recorded"])


def replayed(
    proposal: Proposal, days: int, beat: Callable[[int | None], None] = lambda _: None
) -> Replayed:
    """Return how what was recorded in the last days would have fared; writes nothing."""
    workspace = proposal.policy.workspace
    things = within(workspace, securables.workspace(workspace))
    devices = Device.objects.filter(user__organization=workspace.organization_id)
    replay = Replay(
        now=proposal.now,
        then=proposal.then,
        principals=principals_of(workspace),
        devices={device.id: device.identity for device in devices},
        securables=things,
        facts=facts_about(workspace, things),
    )
    done = 0
    for batch in _recorded(workspace, days):
        replay.add(batch)
        done += len(batch)
        beat(done)
    return replay.end(beat=lambda: beat(None))


def as_result(found: Replayed) -> dict[str, Any]:
    """Return, JSON-ready, what is kept of a replay."""
    people = {one.question.principal_id for one in found.affected}
    return {
        "recorded": found.recorded,
        "gone": found.gone,
        "counts": {fate.value: count for fate, count in sorted(found.counts.items())},
        "principals_affected": len(people),
        "affected": [_as_dict(one) for one in found.affected[:MAX_KEPT]],
        "left_out": max(len(found.affected) - MAX_KEPT, 0),
    }


def _proposal(replay: PolicyReplay) -> Proposal:
    return ending(replay.policy) if replay.ends else with_text(replay.policy, replay.text)


def _end(replay: PolicyReplay, **members: Any) -> None:
    running = PolicyReplay.objects.filter(
        id=replay.id, state=ReplayState.RUNNING, attempts=replay.attempts
    )
    running.update(finished_at=timezone.now(), **members)


def _count(workspace: Workspace, days: int) -> int:
    since = timezone.now() - timedelta(days=days)
    queries = recorded.recordings().count(workspace, since)
    return queries + recorded.count_refusals(workspace, since)


def _recorded(workspace: Workspace, days: int) -> Iterator[Sequence[Recorded]]:
    since = timezone.now() - timedelta(days=days)
    yield from recorded.recordings().batches(workspace, since, BATCH)
    yield from recorded.refusals(workspace, since, BATCH)


def _as_dict(one: Affected) -> dict[str, Any]:
    question, outcome, seen = one.question, one.outcome, one.occurrences
    return {
        "fate": outcome.fate.value,
        "before": outcome.before,
        "after": outcome.after,
        "why": outcome.why,
        "principal": {"kind": one.kind, "id": str(question.principal_id), "name": one.label},
        "tables": [{"key": read.key, "name": read.label} for read in question.tables],
        "action": question.action.value if question.action else "",
        "is_local": question.is_local,
        "count": seen.count,
        "first_at": seen.first_at.isoformat(),
        "last_at": seen.last_at.isoformat(),
        "queries": seen.ids if question.action is None else [],
    }
