"""What the schedule does for policies: those whose end has passed are retired, with a record."""

from __future__ import annotations

from celery import shared_task

from governance.services import policies


@shared_task(name="governance.retire_expired")
def retire_expired() -> int:
    """Retire expired policies; return how many. They grant nothing since the moment itself."""
    return policies.retire_expired()
