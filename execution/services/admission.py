"""Which waiting query a free slot takes next: the fairest one that no limit forbids."""

from __future__ import annotations

import json
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.db import connection
from django.utils import timezone

from accounts import statements
from audit import services as audit
from execution.engine.domain import Progress
from execution.machine import Machine
from execution.services import lifecycle
from execution.services.lifecycle import Claim

TURNSTILE = 0x75_70_65_6E_64
"""The advisory lock under which slots pick one after the other, so that no cap is exceeded."""
AGING_SECONDS = 30
"""A principal who was not served for this long goes up one priority; so does each query among
its principal's own."""
LONG_SECONDS = 5
"""A query that has run for longer counts as heavy, whatever its estimate said."""

# `firsts` walks the index from one group's first row to the next group's (a loose index scan):
# its cost grows with the principals that wait, not with their queries.
ORDER = """
WITH RECURSIVE running AS MATERIALIZED (
    SELECT workspace_id, principal_key, slot_bytes,
           is_heavy OR started_at < statement_timestamp() - %(long)s * interval '1 second'
               AS is_heavy,
           split_part(worker, '/', 1) = %(machine)s AS is_here
      FROM execution_query WHERE state = 'running'
), here AS (
    SELECT count(*) AS taken, count(*) FILTER (WHERE is_heavy) AS heavy,
           coalesce(sum(slot_bytes), 0) AS bytes
      FROM running WHERE is_here
), firsts AS (
    (SELECT id, workspace_id, principal_key, is_heavy, priority, created_at, slot_bytes
       FROM execution_query WHERE state = 'queued'
      ORDER BY workspace_id, principal_key, is_heavy, priority, created_at LIMIT 1)
    UNION ALL
    SELECT next.* FROM firsts CROSS JOIN LATERAL (
        SELECT id, workspace_id, principal_key, is_heavy, priority, created_at, slot_bytes
          FROM execution_query WHERE state = 'queued'
           AND (workspace_id, principal_key, is_heavy, priority)
             > (firsts.workspace_id, firsts.principal_key, firsts.is_heavy, firsts.priority)
         ORDER BY workspace_id, principal_key, is_heavy, priority, created_at LIMIT 1
    ) AS next
), heads AS (
    SELECT DISTINCT ON (workspace_id, principal_key, is_heavy)
           id, workspace_id, principal_key, is_heavy, priority, created_at,
           least(slot_bytes, %(shared)s) AS slot_bytes
      FROM firsts
     ORDER BY workspace_id, principal_key, is_heavy,
              greatest(0, priority - floor(
                  extract(epoch FROM statement_timestamp() - created_at) / %(aging)s)),
              created_at
), by_workspace AS (
    SELECT workspace_id, count(*) AS running FROM running GROUP BY 1
), by_principal AS (
    SELECT principal_key, count(*) AS running, count(*) FILTER (WHERE is_here) AS here,
           count(*) FILTER (WHERE is_here AND is_heavy) AS heavy_here
      FROM running GROUP BY 1
), by_both AS (
    SELECT workspace_id, principal_key, count(*) AS running FROM running GROUP BY 1, 2
), candidates AS (
    SELECT heads.*, coalesce(by_principal.running, 0) AS running, served.at AS served_at,
           here.bytes + heads.slot_bytes <= %(shared)s OR heads.slot_bytes = 0 AS fits,
           extract(epoch FROM statement_timestamp()
               - greatest(heads.created_at, served.at)) AS waited
      FROM heads
      JOIN workspaces_workspace AS workspace ON workspace.id = heads.workspace_id
     CROSS JOIN here
      LEFT JOIN by_workspace USING (workspace_id)
      LEFT JOIN by_principal USING (principal_key)
      LEFT JOIN by_both USING (workspace_id, principal_key)
      LEFT JOIN LATERAL (
          SELECT max(started_at) AS at FROM execution_query AS query
           WHERE query.principal_key = heads.principal_key AND query.attempts > 0
      ) AS served ON true
     WHERE coalesce(by_workspace.running, 0) < workspace.max_running_queries
       AND coalesce(by_both.running, 0) < workspace.max_running_per_principal
       AND here.taken < %(slots)s
       AND CASE WHEN heads.is_heavy
                THEN here.heavy < %(heavy_slots)s AND (here.heavy < %(open_heavy_slots)s
                     OR coalesce(by_principal.heavy_here, 0) = 0)
                ELSE here.taken < %(open_slots)s OR coalesce(by_principal.here, 0) = 0 END
), ordered AS (
    SELECT *, row_number() OVER fair AS turn,
           bool_or(NOT fits AND waited > %(aging)s) OVER fair AS is_reserved
      FROM candidates
    WINDOW fair AS (
        ORDER BY priority - floor(waited / %(aging)s), running, served_at NULLS FIRST,
                 created_at, id
    )
), picked AS (
    SELECT id, slot_bytes FROM ordered
     WHERE fits AND (slot_bytes = 0 OR NOT is_reserved)
     ORDER BY turn LIMIT 1
)
"""
LOCK = "SELECT set_config('synchronous_commit', 'off', true), pg_advisory_xact_lock(%s)"
"""Goes before the rest as a statement of its own: the rest must see what the last holder of the
lock committed. It is a message of its own too, because only one statement at a time is prepared,
and planning the rest takes PostgreSQL longer than the way there and back.

Nobody waits for the disk: what a crash of PostgreSQL undoes is that a query was begun, with the
record of it. It is queued then, as if this had not been, and the run that goes on has no claim to
end. Whatever is committed later, the end of a run above all, is kept only together with this."""
PICKED = "SELECT id, slot_bytes FROM picked"
# A query that is picked and not taken was cancelled a moment ago.
TAKEN = """, taken AS (
    UPDATE execution_query AS query
       SET state = 'running', attempts = attempts + 1, slot_bytes = picked.slot_bytes,
           worker = %(worker)s, started_at = %(now)s, heartbeat_at = %(now)s,
           progress = %(progress)s
      FROM picked WHERE query.id = picked.id AND query.state = 'queued'
    RETURNING query.id
)
SELECT picked.id, taken.id, EXISTS (
           SELECT 1 FROM execution_query AS other
            WHERE other.state = 'queued' AND other.id IS DISTINCT FROM picked.id
       )
  FROM (VALUES (true)) AS one_row LEFT JOIN picked ON true LEFT JOIN taken ON true
"""


class Admitted(NamedTuple):
    """What a free slot was given, None where nothing may run now, and whether others wait."""

    held: Claim | None
    others_wait: bool


class Pick(NamedTuple):
    """The query whose turn it is, and the memory beyond a slot's own that it gets."""

    query_id: UUID
    slot_bytes: int


@audit.service
def admit(*, machine: Machine) -> Admitted:
    """Claim the fairest query that may run on `machine` now; None where there is none.

    *Admissible* is a query whose workspace and whose principal in it run fewer than their caps,
    for which the machine has a slot, and whose memory fits beside that of the others there. Heavy
    queries leave two thirds of a machine's slots to small ones; the last slot of the heavy goes
    to principals who run no heavy one on that machine, and the last of all to those who run
    nothing. A query that wants more than the whole machine can give gets all that heavy ones
    share, and so runs as the only one that has more than a slot's own.

    *Fairest* is, first, the best priority, where a principal who was not served for 30 s goes up
    by one, again and again; then the principal with the fewest running queries; then who was
    served least recently; then the oldest query. A principal's own queries go by priority and
    age, each going up by one, to the top at most, for each 30 s of waiting; small ones may pass
    heavy ones. Where the fairest does not fit for memory, others pass it for 30 s; from then on
    memory is kept free for it.

    So nobody starves: every principal's turn gets better until it comes, and theirs who are
    being served does not.
    """
    while True:
        picked_id, taken_id, others_wait = _take(machine)
        if taken_id is not None:
            return Admitted(lifecycle.begin(taken_id), others_wait)
        if picked_id is None:
            return Admitted(None, others_wait)


def pick(machine: Machine) -> Pick | None:
    """Return whose turn it is on `machine`, without taking it."""
    with connection.cursor() as cursor:
        cursor.execute(ORDER + PICKED, _limits(machine))
        row = cursor.fetchone()
    return Pick(*row) if row else None


def _take(machine: Machine) -> tuple[UUID | None, UUID | None, bool]:
    """Return which query was picked, which was taken, and whether others wait."""
    begun: dict[str, str | int | datetime] = {
        "now": timezone.now(),
        "progress": json.dumps(Progress().as_dict()),
        "worker": machine.worker,
    }
    with connection.cursor() as cursor:
        cursor.execute(LOCK, [TURNSTILE])
    [(picked_id, taken_id, others_wait)] = statements.rows(ORDER + TAKEN, _limits(machine) | begun)
    return picked_id, taken_id, others_wait


def _limits(machine: Machine) -> dict[str, str | int | datetime]:
    return {
        "aging": AGING_SECONDS,
        "heavy_slots": machine.heavy_slots,
        "long": LONG_SECONDS,
        "machine": machine.name,
        "open_heavy_slots": machine.open_heavy_slots,
        "open_slots": machine.open_slots,
        "shared": machine.shared_bytes,
        "slots": machine.slots,
    }
