"""Reads what is true of the moment: how long the server's queue is, and what runs have taught."""

from __future__ import annotations

from uuid import UUID

from django.db import connection
from django.db.models import Avg, F, Q, QuerySet, Window
from django.db.models.functions import RowNumber

from accounts.composed import Composed
from accounts.domain import Actor
from execution.domain import Estimate, Place, QueryState
from execution.engine.domain import threads_of_this_machine
from execution.models import LearnedCorrection, Query
from execution.timing import Circumstances, Correction, ServerLoad
from execution.weight import priority_of, weigh
from workspaces.models import Workspace

RECENT = 20
USUAL_SECONDS = 1.0
"""What a query takes where none has run yet."""


def _corrections(workspace: UUID, device: UUID | None = None) -> QuerySet[LearnedCorrection]:
    rows = LearnedCorrection.objects.filter(workspace=workspace)
    return rows.filter(Q(device=None) | Q(device=device) if device else Q(device=None))


_learned = Composed(_corrections)


def circumstances_of(actor: Actor, workspace: Workspace, estimate: Estimate) -> Circumstances:
    """Return what placement should know of the server now, and of earlier runs."""
    device_id = actor.device.id if actor.device else None
    ids: dict[str, UUID] = {"workspace": workspace.id}
    rows = _learned.ask(**ids, **({"device": device_id} if device_id else {}))
    learned = {row.device_id: Correction(row.log_mean, row.runs) for row in rows}
    return Circumstances(
        load=server_load(actor, workspace, estimate),
        server=learned.get(None, Correction()),
        device=learned.get(device_id, Correction()) if device_id else Correction(),
    )


def server_load(actor: Actor, workspace: Workspace, estimate: Estimate) -> ServerLoad:
    """Return how long a new query of this estimate would wait in the line of its kind.

    Like `execution.line`, which says it of queries that are waiting already: small and heavy
    queries have a line each, and in each people take turns.
    """
    cores = threads_of_this_machine()
    is_heavy = weigh(estimate, most_bytes=workspace.query_memory_bytes).is_heavy
    rank = priority_of(actor.kind, None).rank
    if not _does_any_wait(is_heavy=is_heavy, rank=rank):
        return ServerLoad(cores=cores)
    alike = Query.objects.filter(is_heavy=is_heavy)
    queued = alike.filter(state=QueryState.QUEUED, priority__lte=rank)
    ahead = _ahead(queued, actor)
    if not ahead:
        return ServerLoad(cores=cores)
    newest = alike.filter(
        place=Place.SERVER, finished_at__isnull=False, run_seconds__isnull=False
    ).order_by("-finished_at")
    usual = newest[:RECENT].aggregate(seconds=Avg("run_seconds"))["seconds"]
    running = max(alike.filter(state=QueryState.RUNNING).count(), 1)
    wait = (USUAL_SECONDS if usual is None else usual) * ahead / running
    return ServerLoad(ahead, round(wait, 2), cores)


def _does_any_wait(*, is_heavy: bool, rank: int) -> bool:
    """Tell whether a query of the line waits: mostly none does, and then all is known."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT 1 FROM execution_query WHERE state = 'queued'"
            " AND is_heavy = %s AND priority <= %s)",
            [is_heavy, rank],
        )
        (found,) = cursor.fetchone()
    return bool(found)


def _ahead(queued: QuerySet[Query], actor: Actor) -> int:
    """Return how many take their turn before the actor's next one."""
    own = queued.filter(principal_key=actor.id).count()
    turn = Window(
        RowNumber(),
        partition_by=[F("workspace_id"), F("principal_key"), F("priority")],
        order_by=["created_at", "id"],
    )
    return queued.annotate(turn=turn).filter(turn__lte=own + 1).count()
