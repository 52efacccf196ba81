"""What the workers are told: each task finds in PostgreSQL what there is to do."""

from __future__ import annotations

import os
import socket
from typing import Any
from uuid import UUID

from celery import shared_task
from celery.signals import worker_ready, worker_shutdown
from celery.worker.consumer import Consumer

from execution import services
from execution.engine import services as engine

QUEUE = "query"


@shared_task(name="execution.run_query")
def run_query(query_id: str) -> None:
    """Run one queued query; a message that comes twice, or late, does nothing."""
    try:
        services.run_query(UUID(query_id), worker=f"{socket.gethostname()}/{os.getpid()}")
    finally:
        engine.keep_spare()


@shared_task(name="execution.export_result")
def export_result(export_id: str) -> None:
    """Write one result in another format."""
    services.run_export(int(export_id))


@shared_task(name="execution.sweep_queries")
def sweep_queries() -> dict[str, int]:
    """Repair what lost messages, dead workers and silent devices left behind."""
    return services.sweep()


@shared_task(name="execution.expire_results")
def expire_results() -> int:
    """Delete the results whose time is over."""
    return services.expire_results()


@worker_ready.connect
def warm_engines(sender: Consumer, **_: Any) -> None:
    """Have engines ready before the first query comes, in the worker that runs queries."""
    if QUEUE in sender.app.amqp.queues.consume_from:
        engine.warm()
        engine.keep_spare()


@worker_shutdown.connect
def discard_engines(**_: Any) -> None:
    """Leave no waiting engine behind."""
    engine.discard_spare()
