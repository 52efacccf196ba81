"""The statements by which batches go through a group: one each, planned once by each connection.

A stream of small appends makes several groups a second, and all wait while one is put together.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils import timezone

from accounts import statements
from catalog.ingest.domain import BatchState
from catalog.models import Catalog, IngestBatch, IngestPayload, Job

WAITING = f"""
SELECT key_columns, requested_by, id, accepted_at, table_uuid, mode, size_bytes, staged_key,
       is_alone
FROM catalog_ingestbatch WHERE catalog_id = %(catalog)s AND state = '{BatchState.WAITING}'
  AND NOT EXISTS (SELECT FROM catalog_job WHERE catalog_id = %(catalog)s AND kind = 'ingest'
                  AND finished_at IS NULL)
ORDER BY id LIMIT %(most)s
"""  # noqa: S608 - a word of our own
OF_THE_QUEUE = f"state IN ('{BatchState.TAKEN}', '{BatchState.WAITING}')"
"""In the words of the queue's index: without them a plan that was made while the table was small
reads all of it, and is kept."""
TAKING = (
    f"WITH job AS ({statements.insertion(Job)}) UPDATE catalog_ingestbatch b"  # noqa: S608 - our own names
    f" SET state = '{BatchState.TAKEN}', job_id = job.id FROM job"
    f" WHERE b.catalog_id = %s AND b.{OF_THE_QUEUE} AND b.id = ANY(%s::bigint[]) RETURNING b.id"
)
TAKEN = f"""
SELECT {statements.columns(IngestBatch, "b")}, {statements.columns(IngestPayload, "p")}
FROM catalog_ingestbatch b LEFT JOIN catalog_ingestpayload p ON p.batch_id = b.id
WHERE b.catalog_id = %s AND b.{OF_THE_QUEUE} AND b.id = ANY(%s::bigint[]) ORDER BY b.id
"""  # noqa: S608 - names of our own models
SETTLING = f"""
WITH settled AS (
       UPDATE catalog_ingestbatch SET state = '{BatchState.COMMITTED}',
              snapshot_id = %(snapshot)s::bigint, finished_at = %(now)s
       WHERE catalog_id = %(catalog)s AND {OF_THE_QUEUE} AND id = ANY(%(plain)s::bigint[])),
     held AS (DELETE FROM catalog_ingestpayload WHERE batch_id = ANY(%(ids)s::bigint[]))
DELETE FROM catalog_job WHERE id = %(job)s RETURNING id
"""  # noqa: S608 - a word of our own


@dataclass(frozen=True, slots=True)
class Waiting:
    """What must be known of a batch to put it together with others."""

    key_columns: tuple[str, ...]
    requested_by: dict[str, Any]
    id: int
    accepted_at: datetime
    table_uuid: UUID
    mode: str
    size_bytes: int
    staged_key: str
    is_alone: bool


def waiting(catalog: Catalog, most: int) -> list[Waiting]:
    """Return what waits, in the order of acceptance; nothing while the catalog has a group."""
    found = statements.rows(WAITING, {"catalog": catalog.id, "most": most})
    return [
        Waiting(tuple(json.loads(keys)), json.loads(by), *others) for keys, by, *others in found
    ]


def take(job: Job) -> None:
    """Make the group and take its batches into it: all, or nothing."""
    statements.rows(TAKING, [*statements.values(job), job.catalog_id, job.arguments["batches"]])
    statements.inserted(job, job.id)


def taken(job: Job) -> Iterator[tuple[IngestBatch, IngestPayload]]:
    """Yield the batches of a group with what they hold, in order."""
    for row in statements.rows(TAKEN, [job.catalog_id, job.arguments["batches"]]):
        batch, payload = statements.split(row, IngestBatch, IngestPayload)
        yield batch, payload


def settle(job: Job, plain: Sequence[int], snapshot_id: int | None) -> None:
    """Note a snapshot on the `plain` batches of a group; forget what all held, and the group.

    The batches say all that it would, and nothing else names it.
    """
    told = {
        "catalog": job.catalog_id,
        "snapshot": snapshot_id,
        "now": timezone.now(),
        "plain": list(plain),
        "ids": job.arguments["batches"],
        "job": job.id,
    }
    statements.rows(SETTLING, told)
