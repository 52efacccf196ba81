"""How many queries may wait: who has that many already is told when to come again."""

from __future__ import annotations

import hashlib
import math
from datetime import timedelta
from uuid import UUID

from django.db import connection
from django.db.models import Count, Q, QuerySet
from django.utils import timezone

from accounts.domain import Actor
from execution.domain import QueryState, RequestedPlace
from execution.models import Query
from problems import Problem
from workspaces.models import Workspace

RATE_SECONDS = 60
UNKNOWN_WAIT_SECONDS = 30
"""What is told where nothing has ended within the last minute."""


class TooManyQueries(Problem):
    """As many queries wait as the workspace allows; `Retry-After` says when to try again."""

    code = "too-many-queries"
    status = 429
    title = "Too many queries are waiting"


def refuse_early(*, actor: Actor, workspace: Workspace, requested: RequestedPlace) -> None:
    """Raise `TooManyQueries` before the work of planning, where the query can only wait.

    Not exact, and not needed to be: `check` is. A query that may yet run on the actor's device is
    let through, because such runs do not count.
    """
    may_be_local = requested is RequestedPlace.LOCAL or (
        requested is RequestedPlace.AUTO and actor.device is not None
    )
    if not may_be_local:
        _refuse_where_full(workspace, actor.id)


def check(*, workspace: Workspace, principal_id: UUID) -> None:
    """Raise `TooManyQueries` where one more query may not wait.

    Call it in the transaction that saves the row. It is exact for a principal, whose submissions
    it lets through one by one; different principals do not wait for each other, and so may
    together exceed the workspace's limit by as many as submit at the same moment, at most.
    """
    with connection.cursor() as cursor:
        # A statement of its own: the counts must see what the last holder committed.
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_key(workspace.id, principal_id)])
    _refuse_where_full(workspace, principal_id)


def _key(workspace_id: UUID, principal_id: UUID) -> int:
    """Return the number of the lock that one principal's submissions to a workspace share."""
    digest = hashlib.blake2b(workspace_id.bytes + principal_id.bytes, digest_size=8).digest()
    return int.from_bytes(digest, signed=True)


def _refuse_where_full(workspace: Workspace, principal_id: UUID) -> None:
    everyones = Query.objects.filter(workspace=workspace)
    own = everyones.filter(principal_key=principal_id)
    waiting = everyones.filter(state=QueryState.QUEUED).aggregate(
        own=Count("id", filter=Q(principal_key=principal_id)), everyones=Count("id")
    )
    if waiting["own"] >= workspace.max_queued_per_principal:
        raise _full(
            own,
            f"You have {workspace.max_queued_per_principal} queries waiting in this workspace,"
            " which is as many as one may have.",
            scope="principal",
        )
    if waiting["everyones"] >= workspace.max_queued_queries:
        raise _full(
            everyones,
            f"{workspace.max_queued_queries} queries wait in this workspace, which is as many"
            " as may.",
            scope="workspace",
        )


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
