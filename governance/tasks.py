"""What the schedule does for policies: ended ones are retired, broken ones are marked."""

from __future__ import annotations

from celery import shared_task

from governance import broken
from governance.services import policies


@shared_task(name="governance.retire_expired")
def retire_expired() -> int:
    """Retire expired policies; return how many. They grant nothing since the moment itself."""
    return policies.retire_expired()


@shared_task(name="governance.recheck_policies")
def recheck_policies() -> int:
    """Mark policies that name what is gone; return how many are newly broken."""
    return sum(len(broken.recheck(workspace)) for workspace in broken.governed_workspaces())
