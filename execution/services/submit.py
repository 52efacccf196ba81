"""From a request to a row: plan, refuse or accept, record; the row is then nobody's to lose."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from functools import partial
from typing import NoReturn
from uuid import UUID

from django.utils import timezone

from accounts import statements
from accounts.domain import Actor, PrincipalKind
from audit import services as audit
from audit.domain import Event
from audit.services import Denial
from execution import asked, foreseen, ledger, planning, rush
from execution.domain import Place, Plan, QueryState, RequestedPlace
from execution.foreseen import Foreseen
from execution.models import Query
from execution.placement import handed_over
from execution.services import cache, extracts, handover, limits, tallies
from execution.services.limits import Standing, TooManyQueries
from execution.services.queue import say_it_waits
from execution.weight import Priority, priority_of, weigh
from governance import securables
from observability import tracing
from problems import Conflict, Problem
from workspaces.models import Workspace


class PlaceRefused(Problem):
    """The query may not run at the place that was asked for."""

    code = "place-refused"
    status = 403
    title = "Not allowed at this place"

    denial: Denial | None = None


class IdempotencyConflict(Conflict):
    """The key was used before, for another request."""

    code = "idempotency-conflict"
    title = "The idempotency key is taken"


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for, as the API's body says it."""

    sql: str
    place: RequestedPlace = RequestedPlace.AUTO
    default_catalog: str = ""
    snapshots: dict[str, int] | None = None
    handed_over_from: UUID | None = None
    reuse: bool = True
    priority: Priority | None = None
    purpose: str = ""

    @property
    def digest(self) -> str:
        """Return what makes two requests the same."""
        parts: list[object] = [self.sql, self.place, self.default_catalog, self.snapshots or {}]
        parts += [str(self.handed_over_from)] if self.handed_over_from else []
        parts += [] if self.reuse else ["no-cache"]
        parts += [self.priority] if self.priority else []
        parts += ["for", self.purpose] if self.purpose else []
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Submission:
    """An accepted query. `notice` is for the person, empty when there is nothing to say."""

    query: Query
    is_new: bool
    notice: str = ""


def submit_query(
    *,
    actor: Actor,
    workspace: Workspace,
    sql: str,
    requested: RequestedPlace = RequestedPlace.AUTO,
    default_catalog: str = "",
    snapshots: dict[str, int] | None = None,
    priority: Priority | None = None,
    idempotency_key: str = "",
    handed_over_from: UUID | None = None,
    reuse: bool = True,
    purpose: str = "",
) -> Submission:
    """Plan `sql` and queue it for the server, or delegate it to the actor's device.

    Where the server has the rows of an equal query, they are the answer at once; `reuse=False`
    has it run all the same. Without `priority` a person's query is interactive, a program's an
    agent's. `purpose` is what it is for, in the person's words: policies may ask for it.

    The same key with the same request returns the query it made before; with another request it
    raises `IdempotencyConflict`. `handed_over_from` is the actor's local run of the same text
    that this one continues on the server. Raises `PlaceRefused`, `NotHandedOver`,
    `TooManyQueries`, `TooManyRequests`, and what planning refuses.
    """
    request = Request(
        sql, requested, default_catalog, snapshots, handed_over_from, reuse, priority, purpose
    )
    with rush.turn(actor.id) as turn:
        submission = _submit(
            actor=actor, workspace=workspace, request=request, key=idempotency_key, turn=turn
        )
    query = submission.query
    if submission.is_new and query.state == QueryState.QUEUED:
        return replace(submission, notice=say_it_waits(query.id))
    return submission


def explain_query(
    *,
    actor: Actor,
    workspace: Workspace,
    sql: str,
    requested: RequestedPlace = RequestedPlace.AUTO,
    default_catalog: str = "",
    snapshots: dict[str, int] | None = None,
    purpose: str = "",
) -> Plan:
    """Return the plan of `sql`, a refused place included; nothing runs. Refusals are recorded.

    Raises `TooManyRequests`, and what planning refuses.
    """
    request = Request(sql, requested, default_catalog, snapshots, purpose=purpose)
    with rush.turn(actor.id):
        return _explain(actor=actor, workspace=workspace, request=request)


@audit.service
def _explain(*, actor: Actor, workspace: Workspace, request: Request) -> Plan:
    return planning.plan(
        actor=actor,
        workspace=workspace,
        sql=request.sql,
        requested=request.place,
        default_catalog=request.default_catalog,
        snapshots=request.snapshots,
        purpose=request.purpose,
    )


@audit.service
def _submit(
    *, actor: Actor, workspace: Workspace, request: Request, key: str, turn: rush.Turn
) -> Submission:
    """Find the query that the key made before, or plan and accept a new one."""
    standing = limits.look(actor=actor, workspace=workspace, key=key)
    turn.queued = standing.own
    if standing.earlier_id is not None:
        return _repeated(standing.earlier_id, request)
    _refuse_early(actor, workspace, request, standing)
    plan = _planned(actor, workspace, request, standing)
    place = plan.placement.place or _refuse(actor, workspace, plan)
    if request.handed_over_from is not None:
        handover.check(actor, workspace, request.handed_over_from, sql=request.sql, place=place)
        plan = replace(plan, placement=handed_over(plan.placement))
    query = _row(actor, workspace, request, plan, place)
    query.idempotency_key = key
    is_answered = cache.answer(query, plan, look=request.reuse)
    if query.state == QueryState.QUEUED or key:
        standing = limits.look_in_turn(actor=actor, workspace=workspace, key=key)
        if standing.earlier_id is not None:  # the same request, a moment earlier
            return _repeated(standing.earlier_id, request)
    if query.state == QueryState.QUEUED:
        limits.refuse_where_full(standing, actor=actor, workspace=workspace)
    audit.record_change(
        statements.insertion(Query),
        statements.values(query),
        actor=actor,
        event=Event.QUERY_SUBMITTED,
        target=ledger.query(query),
        after=query.plan | {"asked": query.asked} | handover.recorded(query),
    )
    statements.inserted(query, query.id)
    extracts.attach(query, plan.offers)
    tallies.submitted(query)
    if is_answered:
        audit.record(
            actor=actor,
            event=Event.QUERY_SUCCEEDED,
            target=ledger.query(query),
            after=cache.event_of(query),
        )
    return Submission(query, is_new=True)


def _refuse_early(actor: Actor, workspace: Workspace, request: Request, standing: Standing) -> None:
    """Spare the work of planning for what can only wait where too many wait already.

    Not exact, and not needed to be: the look before the row is saved is.
    """
    if limits.may_be_local(actor, request.place):
        return
    try:
        limits.refuse_where_full(standing, actor=actor, workspace=workspace)
    except TooManyQueries:
        if not (request.reuse and cache.may_answer(workspace, request.digest)):
            raise


def _planned(actor: Actor, workspace: Workspace, request: Request, standing: Standing) -> Plan:
    """Return the plan of a request; a refusal leaves its record, whoever refused it."""
    try:
        return planning.plan(
            actor=actor,
            workspace=workspace,
            sql=request.sql,
            requested=request.place,
            default_catalog=request.default_catalog,
            snapshots=request.snapshots,
            purpose=request.purpose,
            foresee=partial(_foresee, actor, workspace, request, standing),
        )
    except Problem as problem:
        if problem.denial is None:
            target = securables.target(securables.workspace(workspace))
            refused = {"sql": request.sql[: ledger.SQL_KEPT], "problem": problem.as_dict()}
            problem.denial = Denial(actor, Event.PLAN_REFUSED, target, None, refused)
        raise


def _foresee(
    actor: Actor, workspace: Workspace, request: Request, standing: Standing, found: Foreseen
) -> None:
    """Let a worker get ready, where the query will run on the server, soon, and is small."""
    is_servers = not limits.may_be_local(actor, request.place)
    if is_servers and not standing.everyones and found.is_small:
        digest = request.digest if request.reuse else ""
        foreseen.tell(
            found,
            actor=actor,
            workspace=workspace,
            purpose=request.purpose,
            request_digest=digest,
        )


def _row(actor: Actor, workspace: Workspace, request: Request, plan: Plan, place: Place) -> Query:
    """Return the unsaved row of an accepted plan."""
    is_person = actor.kind is PrincipalKind.USER
    weight = weigh(plan.estimate, most_bytes=workspace.query_memory_bytes)
    is_local = place is Place.LOCAL
    return Query(
        workspace=workspace,
        user_id=actor.id if is_person else None,
        service_account_id=None if is_person else actor.id,
        device_id=actor.device.id if is_local and actor.device else None,
        sql=plan.query.sql,
        canonical_sql=plan.query.canonical_sql,
        plan=plan.as_dict(),
        execution=planning.execution_record(plan)
        | {"request_id": actor.request_id}
        | tracing.carried(),
        footing=plan.footing,
        asked=asked.record(actor, plan.estimate, request.purpose),
        place=place,
        state=QueryState.DELEGATED if is_local else QueryState.QUEUED,
        priority=priority_of(actor.kind, request.priority).rank,
        is_heavy=weight.is_heavy,
        slot_bytes=weight.slot_bytes,
        request_digest=request.digest,
        heartbeat_at=None if is_local else timezone.now(),
        handed_over_from_id=request.handed_over_from,
    )


def _repeated(query_id: UUID, request: Request) -> Submission:
    """Return the query that the same request made before. Raises `IdempotencyConflict`."""
    query = Query.objects.select_related("workspace").get(id=query_id)
    if query.request_digest != request.digest:
        raise IdempotencyConflict(
            "This idempotency key was used before, for another request.",
            hint="Use a new key for each new request, and the same key only to repeat one.",
            query_id=str(query.id),
        )
    return Submission(query, is_new=False)


def _refuse(actor: Actor, workspace: Workspace, plan: Plan) -> NoReturn:
    """Refuse a place that is not allowed, with the plan's own reasons."""
    refusal = plan.placement.refusal
    problem = PlaceRefused(
        plan.placement.why,
        hint="Ask for the place `auto` or `server`; the plan lists what would allow the other.",
        reason=refusal.code if refusal else "",
        plan=plan.as_dict(),
    )
    decision = next((d.as_dict() for d in plan.local_decisions if not d.allowed), None)
    target = securables.target(securables.workspace(workspace))
    problem.denial = Denial(actor, Event.PLAN_REFUSED, target, decision, plan.as_dict())
    raise problem
