"""What a scrape finds in PostgreSQL: the queue, what runs and what it holds, on all machines.

One statement over the partial indexes of open queries: its cost grows with what waits and runs,
not with what ever ran.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from django.db import DatabaseError, connection
from prometheus_client.core import GaugeMetricFamily, Metric

from execution.weight import SLOT_BYTES, Priority
from observability import metrics

OPEN = """
SELECT state, place, is_heavy, priority,
       CASE WHEN state = 'running' THEN split_part(worker, '/', 1) ELSE '' END AS machine,
       count(*), coalesce(sum(slot_bytes), 0),
       coalesce(extract(epoch FROM statement_timestamp() - min(created_at)), 0)
  FROM execution_query
 WHERE state IN ('delegated', 'preparing', 'queued', 'running')
 GROUP BY 1, 2, 3, 4, 5
"""
NAMES = {
    "upend_queries_open": "Queries that have not ended, by state, place and priority.",
    "upend_queue_length": "Queries that wait for a slot, small and heavy ones.",
    "upend_queue_oldest_wait_seconds": "How long the oldest waiting query has waited.",
    "upend_slots_in_use": "Queries that run on a worker machine.",
    "upend_memory_reserved_bytes": "Memory that running queries hold of a worker machine's.",
    "upend_exports_waiting": "Results that wait to be written in another format.",
    "upend_scrape_ok": "1 where PostgreSQL answered this scrape; the gauges above are absent at 0.",
}
LABELS: dict[str, tuple[str, ...]] = {
    "upend_queries_open": ("state", "place", "priority"),
    "upend_queue_length": ("weight",),
    "upend_queue_oldest_wait_seconds": ("weight",),
    "upend_slots_in_use": ("machine",),
    "upend_memory_reserved_bytes": ("machine",),
}


@metrics.at_scrape
def read() -> Iterator[Metric]:
    """Ask PostgreSQL once; where it is away, say only that."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(OPEN)
            rows = cursor.fetchall()
            cursor.execute("SELECT count(*) FROM execution_resultexport WHERE state = 'queued'")
            exports = cursor.fetchone()
    except DatabaseError:
        yield GaugeMetricFamily("upend_scrape_ok", NAMES["upend_scrape_ok"], 0)
        return
    found: dict[str, dict[tuple[str, ...], float]] = defaultdict(lambda: defaultdict(float))
    for weight in ("small", "heavy"):  # a queue that is empty has the length 0, not none
        found["upend_queue_length"][(weight,)] = 0
        found["upend_queue_oldest_wait_seconds"][(weight,)] = 0
    for state, place, is_heavy, priority, machine, count, held, oldest in rows:
        found["upend_queries_open"][(state, place, Priority.of_rank(priority).value)] += count
        if state == "queued":
            weight = "heavy" if is_heavy else "small"
            found["upend_queue_length"][(weight,)] += count
            waits = found["upend_queue_oldest_wait_seconds"]
            waits[(weight,)] = max(waits[(weight,)], float(oldest))
        elif state == "running":
            found["upend_slots_in_use"][(machine,)] += count
            held_here = float(held) + count * SLOT_BYTES
            found["upend_memory_reserved_bytes"][(machine,)] += held_here
    for name, labels in LABELS.items():
        family = GaugeMetricFamily(name, NAMES[name], labels=labels)
        for values, number in found[name].items():
            family.add_metric(values, number)
        yield family
    yield GaugeMetricFamily("upend_exports_waiting", NAMES["upend_exports_waiting"], exports[0])
    yield GaugeMetricFamily("upend_scrape_ok", NAMES["upend_scrape_ok"], 1)


def oldest_wait_seconds() -> float:
    """Return how long the oldest waiting query has waited; 0 where none waits."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(extract(epoch FROM statement_timestamp() - min(created_at)), 0)"
            " FROM execution_query WHERE state = 'queued'"
        )
        row = cursor.fetchone()
    return float(row[0]) if row else 0.0
