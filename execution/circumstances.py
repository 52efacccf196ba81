"""Reads what is true of the moment: how long the server's queue is, and what runs have taught."""

from __future__ import annotations

from django.db.models import Avg, Q

from accounts.domain import Actor
from execution.domain import QueryState
from execution.engine.services import threads_of_this_machine
from execution.models import LearnedCorrection, Query
from execution.timing import Circumstances, Correction, ServerLoad
from workspaces.models import Workspace

RECENT = 20
USUAL_SECONDS = 1.0
"""What a query takes where none has run yet."""


def circumstances_of(actor: Actor, workspace: Workspace) -> Circumstances:
    """Return what placement should know of the server now, and of earlier runs."""
    device_id = actor.device.id if actor.device else None
    rows = LearnedCorrection.objects.filter(
        Q(device=None) | Q(device_id=device_id), workspace=workspace
    )
    learned = {row.device_id: Correction(row.log_mean, row.runs) for row in rows}
    return Circumstances(
        load=server_load(workspace),
        server=learned.get(None, Correction()),
        device=learned.get(device_id, Correction()) if device_id else Correction(),
    )


def server_load(workspace: Workspace) -> ServerLoad:
    """Return how long a new query would wait: those queued, times what one took lately."""
    cores = threads_of_this_machine()
    queued = Query.objects.filter(state=QueryState.QUEUED).count()
    if not queued:
        return ServerLoad(cores=cores)
    newest = Query.objects.filter(workspace=workspace, run_seconds__isnull=False)
    usual = newest.order_by("-created_at")[:RECENT].aggregate(s=Avg("run_seconds"))["s"]
    running = Query.objects.filter(state=QueryState.RUNNING).count()
    seconds = usual if usual is not None else USUAL_SECONDS
    return ServerLoad(queued, round(seconds * queued / max(running, 1), 2), cores)
