"""Where a waiting query stands, told from the queue and from how long the last ones ran."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from django.db import connection

RECENT = 20
"""The last runs whose mean duration foretells the next one's."""

TURNS = """
WITH line AS (
    SELECT id, is_heavy,
           row_number() OVER (
               PARTITION BY is_heavy ORDER BY priority, round, created_at, id) - 1 AS ahead
      FROM (
          SELECT id, is_heavy, priority, created_at, row_number() OVER (
                     PARTITION BY workspace_id, principal_key, is_heavy, priority
                     ORDER BY created_at, id) AS round
            FROM execution_query WHERE state = 'queued'
      ) AS rounds
), pace AS (
    SELECT is_heavy, (
               SELECT avg(extract(epoch FROM finished_at - started_at)) FROM (
                   SELECT finished_at, started_at FROM execution_query AS query
                    WHERE query.is_heavy = kind.is_heavy AND place = 'server'
                      AND finished_at IS NOT NULL AND attempts > 0
                    ORDER BY finished_at DESC LIMIT %(recent)s
               ) AS last
           ) AS seconds, (
               SELECT count(*) FROM execution_query AS query
                WHERE state = 'running' AND query.is_heavy = kind.is_heavy
           ) AS running
      FROM (VALUES (false), (true)) AS kind (is_heavy)
)
SELECT line.id, line.ahead, pace.seconds * (line.ahead + 1) / greatest(1, pace.running)
  FROM line JOIN pace USING (is_heavy)
 WHERE line.id = ANY(%(ids)s)
"""


@dataclass(frozen=True, slots=True)
class Turn:
    """A place in the line: `position` 1 is next. The wait is None where nothing ran yet.

    Small and heavy queries have a line each, for they have slots each. The order is that of
    taking turns: by priority, then everybody's first query, everybody's second, and so on. It
    knows nothing of aging, caps and memory, and the wait supposes that the next queries take as
    long as the last ones did: both are what to tell a person, not a promise.
    """

    position: int
    ahead: int
    expected_wait_seconds: float | None

    def as_dict(self) -> dict[str, Any]:
        """Return the API's JSON."""
        return asdict(self)


def turns(query_ids: Iterable[UUID]) -> dict[UUID, Turn]:
    """Return where each of the queries stands that is still waiting, in one look at the queue."""
    ids = list(query_ids)
    if not ids:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(TURNS, {"ids": ids, "recent": RECENT})
        rows = cursor.fetchall()
    return {
        query_id: Turn(ahead + 1, ahead, None if wait is None else round(float(wait), 1))
        for query_id, ahead, wait in rows
    }
