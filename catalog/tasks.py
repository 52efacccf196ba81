"""What the catalog workers run: each catalog's queue, and the sweep that loses nothing."""

from __future__ import annotations

from uuid import UUID

from celery import shared_task

from catalog import services
from catalog.adoption import running
from catalog.maintenance import schedule, standings
from catalog.services import maintenance, pulls, transfers

LINGER_SECONDS = 0.25
"""After rows a worker stays so long for the next: a task for each few would cost more."""


@shared_task(name="catalog.run_jobs")
def run_jobs(catalog_id: str) -> int:
    """Run one catalog's jobs in order."""
    return services.run_jobs(UUID(catalog_id), linger_seconds=LINGER_SECONDS)


@shared_task(name="catalog.run_adoption")
def run_adoption(adoption_id: str) -> str:
    """Carry one adoption a step further."""
    return running.run_adoption(UUID(adoption_id))


@shared_task(name="catalog.sweep_adoptions")
def sweep_adoptions() -> int:
    """Find adoptions whose message was lost, and followed lakes that are due."""
    return services.sweep_adoptions()


@shared_task(name="catalog.remove_dropped")
def remove_dropped() -> int:
    """Remove for good what was dropped and can no longer be restored."""
    return services.remove_dropped()


@shared_task(name="catalog.publish_due_connectors")
def publish_due_connectors() -> int:
    """Have the connectors pull whose time has come."""
    return pulls.publish_due()


@shared_task(name="catalog.pull")
def pull(connector_id: str) -> str:
    """Take one step of a connector; return where its run stands."""
    run = pulls.pull(UUID(connector_id))
    return run.state if run else ""


@shared_task(name="catalog.expire_transfers")
def expire_transfers() -> int:
    """Give up the files that nobody loaded."""
    return transfers.expire_transfers()


@shared_task(name="catalog.expire_batches")
def expire_batches() -> int:
    """Forget what became of rows that were sent long ago."""
    return services.expire_batches()


@shared_task(name="catalog.sweep_jobs")
def sweep_jobs() -> int:
    """Find work whose message was lost, or whose worker was."""
    return services.sweep_jobs()


@shared_task(name="catalog.retire_bucket_keys")
def retire_bucket_keys() -> int:
    """Remove the keys of buckets that were rotated and sign nothing any more."""
    return services.retire_bucket_keys()


@shared_task(name="catalog.maintain")
def maintain() -> int:
    """Begin the upkeep that is due, and go on with what was left."""
    maintenance.resume()
    return schedule.begin_due(lambda catalog: maintenance.start_scheduled(catalog=catalog))


@shared_task(name="catalog.measure")
def measure() -> int:
    """Measure how lakes stand, for the page of them all."""
    return standings.measure_changed()
