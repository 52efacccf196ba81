"""A worker's part of a query that has not come yet: attach its slices while the web binds it.

It is a bet on the next quarter of a second, and whoever loses it is Upend: nothing is bet where
somebody waits, where no processor is free, where the query could not begin at once, or where it
would need no engine. See `execution.engine.sessions` for how few engines, and for how long, one
principal can have so.
"""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import structlog
from django.db import close_old_connections

from accounts import statements
from accounts.composed import Composed, first
from accounts.models import ServiceAccount, User
from api.broker import take_for_ever
from execution import foreseen, ledger
from execution.authorization import ON_SERVER, SERVER, authorize_again
from execution.domain import Place
from execution.engine import services as engine
from execution.engine.domain import threads_of_this_machine
from execution.foreseen import Json
from execution.machine import Machine
from execution.models import Query
from execution.services import cache
from execution.services.running import engine_spec, session_need
from problems import Problem
from workspaces.models import Workspace

log = structlog.get_logger(__name__)

ROOM = """
SELECT EXISTS (SELECT 1 FROM execution_query WHERE state = 'queued'),
       count(*) FILTER (WHERE workspace_id = %(workspace)s),
       count(*) FILTER (WHERE workspace_id = %(workspace)s AND principal_key = %(principal)s),
       count(*) FILTER (WHERE split_part(worker, '/', 1) = %(machine)s)
  FROM execution_query WHERE state = 'running'
"""
"""What admission will look at; where it turns out otherwise, an engine was ready for nothing."""

_workspaces = Composed(
    lambda workspace: (
        Workspace.objects.select_related("organization").filter(id=workspace).order_by()
    )
)


def listen_for_ever(machine: Machine, is_stopping: Callable[[], bool]) -> None:
    """Prepare for what is foreseen, one after the other, until `is_stopping` says so."""
    take_for_ever(foreseen.KEY, lambda sealed: _hear(sealed, machine), is_stopping)


def _hear(sealed: bytes, machine: Machine) -> None:
    close_old_connections()
    try:
        prepare(sealed, machine)
    except Problem:
        pass  # the query itself is told, when it comes
    except Exception:
        log.exception("not_prepared")


def prepare(sealed: bytes, machine: Machine) -> bool:
    """Have an engine attach what the foreseen query needs; tell whether it waits for it now."""
    if engine.running() >= _most():
        return False
    said = foreseen.read(sealed)
    workspace = first(_workspaces.ask(workspace=UUID(said["workspace"]))) if said else None
    if said is None or workspace is None:
        return False
    query = _query(said, workspace)
    return engine.attach_ahead(
        session_need(query),
        is_worth_it=lambda: _has_room(query, machine) and not _is_answered(said, workspace),
        spec=lambda: engine_spec(query),
        is_granted=lambda: _is_granted(query),
    )


def _query(said: Json, workspace: Workspace) -> Query:
    """Return the row that the query would have, as far as it is known: never saved."""
    principal = UUID(said["principal"])
    return Query(
        workspace=workspace,
        user_id=principal if said["is_person"] else None,
        service_account_id=None if said["is_person"] else principal,
        sql="",
        plan=said["plan"],
        execution=said["execution"],
        footing=said["footing"],
        asked=said["asked"],
        place=Place.SERVER,
    )


def _has_room(query: Query, machine: Machine) -> bool:
    """Tell whether nobody waits, and the query would begin at once on this machine."""
    workspace = query.workspace
    known: dict[str, str | UUID | None] = {
        "machine": machine.name,
        "principal": query.user_id or query.service_account_id,
        "workspace": workspace.id,
    }
    [(others_wait, of_workspace, of_principal, here)] = statements.rows(ROOM, known)
    return (
        not others_wait
        and of_workspace < workspace.max_running_queries
        and of_principal < workspace.max_running_per_principal
        and here + engine.attached_ahead() <= min(_most(), machine.open_slots)
    )


def _most() -> int:
    """Return how many queries may run here, with those to come: half as many as processors.

    Where none is free to attach meanwhile, nothing is gained, and an engine that is late is lost.
    """
    return max(1, threads_of_this_machine() // 2)


def _is_answered(said: Json, workspace: Workspace) -> bool:
    """Tell whether kept rows may be the answer."""
    digest = said["request_digest"]
    return bool(digest) and cache.may_answer(workspace, digest)


def _is_granted(query: Query) -> bool:
    """Tell whether the principal may run it, decided here and now; the run decides once more."""
    if query.user_id is not None:
        query.user = User.objects.filter(id=query.user_id).first()
    elif query.service_account_id is not None:
        known = ServiceAccount.objects.filter(id=query.service_account_id)
        query.service_account = known.first()
    if query.user is None and query.service_account is None:
        return False
    try:
        authorize_again(ledger.principal_of(query), query, ON_SERVER, SERVER)
    except Problem:
        return False
    return True
