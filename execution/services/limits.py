"""How many queries may wait: who has that many already is told when to come again.

Both looks at the line, before planning and before the row is saved, also find what the same
request made before: one statement each.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone

from accounts.domain import Actor
from execution.domain import RequestedPlace
from execution.models import Query
from problems import Problem
from workspaces.models import Workspace

RATE_SECONDS = 60
UNKNOWN_WAIT_SECONDS = 30
"""What is told where nothing has ended within the last minute."""


LOOK = """
SELECT count(*) FILTER (WHERE principal_key = %(principal)s), count(*), (
           SELECT id FROM execution_query AS made
            WHERE made.workspace_id = %(workspace)s AND {own}
              AND made.idempotency_key = %(key)s AND made.idempotency_key <> ''
       )
  FROM execution_query WHERE workspace_id = %(workspace)s AND state = 'queued'
"""
OWN = {
    True: "made.user_id = %(principal)s AND made.service_account_id IS NULL",
    False: "made.user_id IS NULL AND made.service_account_id = %(principal)s",
}
"""By whether a person asks: so that all columns of the index of keys are given."""
TAKE_TURN = "SELECT pg_advisory_xact_lock(%(turn)s);"
"""Goes before a look in the same message, but as a statement of its own: the look must see what
the last holder of the lock committed. Needs Django's default of binding values in the client."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What a submission meets: the queries that wait, and the one that its key made before."""

    own: int
    everyones: int
    earlier_id: UUID | None


class TooManyQueries(Problem):
    """As many queries wait as the workspace allows; `Retry-After` says when to try again."""

    code = "too-many-queries"
    status = 429
    title = "Too many queries are waiting"


def look(*, actor: Actor, workspace: Workspace, key: str) -> Standing:
    """Return what a submission with the idempotency key `key` meets at the moment."""
    return _look(LOOK, actor, workspace, key)


def look_in_turn(*, actor: Actor, workspace: Workspace, key: str) -> Standing:
    """Return the same once the actor's other submissions are through; none begins meanwhile.

    Call it in the transaction that saves the row. It is exact for a principal, whose submissions
    pass one by one; different principals do not wait for each other, and so may together exceed
    the workspace's limit by as many as submit at the same moment, at most.
    """
    return _look(TAKE_TURN + LOOK, actor, workspace, key)


def may_be_local(actor: Actor, requested: RequestedPlace) -> bool:
    """Tell whether a query may yet run on the actor's device: such runs do not count."""
    is_open = requested is RequestedPlace.AUTO and actor.device is not None
    return is_open or requested is RequestedPlace.LOCAL


def refuse_where_full(standing: Standing, *, actor: Actor, workspace: Workspace) -> None:
    """Raise `TooManyQueries` where one more query may not wait."""
    everyones = Query.objects.filter(workspace=workspace)
    if standing.own >= workspace.max_queued_per_principal:
        raise _full(
            everyones.filter(principal_key=actor.id),
            f"You have {workspace.max_queued_per_principal} queries waiting in this workspace,"
            " which is as many as one may have.",
            scope="principal",
        )
    if standing.everyones >= workspace.max_queued_queries:
        raise _full(
            everyones,
            f"{workspace.max_queued_queries} queries wait in this workspace, which is as many"
            " as may.",
            scope="workspace",
        )


def _look(sql: str, actor: Actor, workspace: Workspace, key: str) -> Standing:
    asked: dict[str, str | int | UUID] = {
        "key": key,
        "principal": actor.id,
        "turn": _turn(workspace.id, actor.id),
        "workspace": workspace.id,
    }
    with connection.cursor() as cursor:
        cursor.execute(sql.format(own=OWN[actor.is_person]), asked)
        while cursor.nextset():
            pass
        return Standing(*cursor.fetchone())


def _turn(workspace_id: UUID, principal_id: UUID) -> int:
    """Return the number of the lock that one principal's submissions to a workspace share."""
    digest = hashlib.blake2b(workspace_id.bytes + principal_id.bytes, digest_size=8).digest()
    return int.from_bytes(digest, signed=True)


def _full(rows: QuerySet[Query], detail: str, *, scope: str) -> TooManyQueries:
    wait = _retry_after(rows)
    problem = TooManyQueries(
        detail,
        hint=f"Try again in {wait} s, or cancel queries that are no longer needed. Owners of the"
        " workspace set this limit.",
        scope=scope,
        retry_after_seconds=wait,
    )
    problem.retry_after_seconds = wait
    return problem


def _retry_after(rows: QuerySet[Query]) -> int:
    """Return the seconds until the next place should be free: at the pace of the last minute."""
    since = timezone.now() - timedelta(seconds=RATE_SECONDS)
    ended = rows.filter(is_heavy__in=[False, True], place="server", attempts__gt=0)
    count = ended.filter(finished_at__gt=since).count()
    return math.ceil(RATE_SECONDS / count) if count else UNKNOWN_WAIT_SECONDS
