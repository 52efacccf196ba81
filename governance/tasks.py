"""What workers do for policies: retire ended ones, mark broken ones, replay what was recorded."""

from __future__ import annotations

from uuid import UUID

from celery import shared_task

from governance import broken
from governance.services import policies, replays


@shared_task(name="governance.retire_expired")
def retire_expired() -> int:
    """Retire expired policies; return how many. What they grant ended at the time itself."""
    return policies.retire_expired()


@shared_task(name="governance.recheck_policies")
def recheck_policies() -> int:
    """Mark policies that name what is gone; return how many are newly broken."""
    return sum(len(broken.recheck(workspace)) for workspace in broken.governed_workspaces())


@shared_task(name=replays.RUN_REPLAY)
def run_replay(replay_id: str) -> None:
    """Ask again what was recorded, under a proposal."""
    replays.run_replay(UUID(replay_id))


@shared_task(name="governance.sweep_replays")
def sweep_replays() -> int:
    """Find replays whose message was lost, or whose worker was."""
    return replays.sweep_replays()
