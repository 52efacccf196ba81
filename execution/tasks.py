"""What the workers are told: each task finds in PostgreSQL what there is to do."""

from __future__ import annotations

import gc
import threading
import time
from typing import Any

from celery import shared_task
from celery.signals import (
    heartbeat_sent,
    worker_init,
    worker_ready,
    worker_shutdown,
    worker_shutting_down,
)
from celery.worker.consumer import Consumer
from django.conf import settings

from execution import isolation, presence, services
from execution.engine import services as engine
from execution.machine import Machine, this_machine
from execution.sandbox import IsolationIncomplete
from execution.services import ahead
from execution.services.slots import Slots

QUEUE = "query"

_machine: list[Machine] = []
_exporting = threading.Lock()
_writing = threading.BoundedSemaphore(2)
_stopping = threading.Event()
_slots: list[Slots] = []
_told_at: dict[str, float] = {}


@worker_init.connect
def measure_machine(sender: Any, **_: Any) -> None:
    """Learn how many slots this worker has: as many as Celery runs tasks at a time."""
    slots = settings.QUERY_SLOTS or int(sender.concurrency)
    _machine[:] = [this_machine(slots=slots, memory_bytes=settings.QUERY_MEMORY_BYTES)]


@worker_init.connect
def show_isolation(**_: Any) -> None:
    """Log what confines this worker's engines; refuse to start where that must be more."""
    try:
        isolation.announce()
    except IsolationIncomplete as incomplete:
        raise SystemExit(str(incomplete)) from None


@heartbeat_sent.connect
def tell_isolation(sender: Any, **_: Any) -> None:
    """Keep what this worker reports from expiring."""
    name, now = str(sender.eventer.hostname), time.monotonic()
    is_due = now - _told_at.get(name, -isolation.REFRESH_SECONDS) >= isolation.REFRESH_SECONDS
    if is_due and QUEUE in sender.eventer.app.amqp.queues.consume_from:
        _told_at[name] = now
        isolation.tell(name)


@heartbeat_sent.connect
def tell_presence(sender: Any, **_: Any) -> None:
    """Let `/health/ready` know which queues are served."""
    name, now = f"presence {sender.eventer.hostname}", time.monotonic()
    if now - _told_at.get(name, -presence.TELL_SECONDS) >= presence.TELL_SECONDS:
        _told_at[name] = now
        presence.tell(sender.eventer.app.amqp.queues.consume_from)


@shared_task(name="execution.run_queries")
def run_queries() -> None:
    """Run what waits, the fairest first; a message that comes twice, or late, does no harm."""
    _run_queries()


def _run_queries() -> None:
    services.run_queries(
        _machine[0], after_each=engine.keep_spare_soon, is_stopping=_stopping.is_set
    )


@worker_shutting_down.connect
def begin_no_more(**_: Any) -> None:
    """Let the worker end after the queries that run, however many wait: others take those."""
    _stopping.set()


@shared_task(name="execution.export_result")
def export_result(export_id: str) -> None:
    """Write one result in another format, one at a time: the sweep repeats what must wait."""
    if not _exporting.acquire(blocking=False):
        return
    try:
        services.run_export(int(export_id))
    finally:
        _exporting.release()


@shared_task(name="execution.write_extracts")
def write_extracts() -> None:
    """Write the extracts that wait, few at a time: who writes goes on while some wait."""
    if not _writing.acquire(blocking=False):
        return
    try:
        services.write_extracts(_machine[0].worker, is_stopping=_stopping.is_set)
    finally:
        _writing.release()


@shared_task(name="execution.expire_extracts")
def expire_extracts() -> dict[str, int]:
    """End the extracts that serve nobody any more, and delete their objects."""
    return services.expire_extracts()


@shared_task(name="execution.sweep_queries")
def sweep_queries() -> dict[str, int]:
    """Repair what lost messages, dead workers and silent devices left behind."""
    counts = services.sweep()
    presence.tell([presence.SWEEP])
    return counts


@shared_task(name="execution.sweep_orphans")
def sweep_orphans() -> int:
    """Delete what a crash left in the bucket, of results and of extracts."""
    return services.sweep_orphans() + services.sweep_orphaned_extracts()


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
        gc.collect()
        gc.freeze()  # as the web process does: a look at all that is loaded holds up every run


@worker_ready.connect
def open_slots(sender: Consumer, **_: Any) -> None:
    """Hear that queries wait, in the worker that runs them."""
    if QUEUE in sender.app.amqp.queues.consume_from:
        _slots.append(Slots(_machine[0], _run_queries, _stopping.is_set))
        _slots[-1].start()


@worker_ready.connect
def prepare_ahead(sender: Consumer, **_: Any) -> None:
    """Hear of queries that are about to come, in the worker that runs them."""
    if QUEUE in sender.app.amqp.queues.consume_from:
        threading.Thread(
            target=ahead.listen_for_ever,
            args=(_machine[0], _stopping.is_set),
            name="foreseen",
            daemon=True,
        ).start()


@worker_shutdown.connect
def discard_engines(**_: Any) -> None:
    """End once what runs has ended, and leave no waiting engine behind."""
    _stopping.set()
    for slots in _slots:
        slots.join()
    engine.discard_spare()
