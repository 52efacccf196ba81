"""Plans as another principal: what they would be told, shown to who is told no less themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from accounts.domain import Actor
from execution import planning, rush
from execution.domain import Plan, RequestedPlace
from execution.services.submit import explain_query
from governance.domain import Action, Decision
from governance.services import viewing
from problems import Problem
from workspaces.models import Workspace


class SeesMore(Problem):
    """The other principal sees values or rows that the viewer may not: a plan tells of them."""

    code: ClassVar[str] = "sees-more"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "They see more of it than you may"


@dataclass(frozen=True, slots=True)
class ViewedPlan:
    """A plan as another principal would be told it."""

    plan: Plan
    viewed_as: Actor


def explain_query_as(
    *,
    actor: Actor,
    workspace: Workspace,
    principal: str,
    sql: str,
    requested: RequestedPlace = RequestedPlace.AUTO,
    default_catalog: str = "",
    snapshots: dict[str, int] | None = None,
    purpose: str = "",
) -> ViewedPlan:
    """Return the plan of `sql` as `principal` would be told it, without a device; nothing runs.

    It is planned for the viewer first: files that a filter leaves over tell of values, and names
    of tables are not to be guessed through somebody else. Raises what planning for either raises,
    and `AccessDenied`, `UnknownPrincipal` or `SeesMore`. A refusal of the other principal is not
    theirs: they asked nothing, so the ledger has the viewing alone.
    """
    other = viewing.view_as(
        actor=actor, workspace=workspace, principal=principal, looked_at=f"plan: {sql[:200]}"
    )
    own = explain_query(
        actor=actor,
        workspace=workspace,
        sql=sql,
        requested=RequestedPlace.SERVER,
        default_catalog=default_catalog,
        snapshots=snapshots,
        purpose=purpose,
    )
    try:
        with rush.turn(actor.id):
            plan = planning.plan(
                actor=other,
                workspace=workspace,
                sql=sql,
                requested=requested,
                default_catalog=default_catalog,
                snapshots=snapshots,
                purpose=purpose,
            )
    except Problem as problem:
        problem.denial = None
        problem.hint = ""  # it may name what only they may browse
        raise
    _check_sees_no_more(own, plan, other)
    return ViewedPlan(plan, other)


def _check_sees_no_more(own: Plan, plan: Plan, other: Actor) -> None:
    mine = {decision.securable_key: decision for decision in _reads(own)}
    for theirs in _reads(plan):
        known = mine.get(theirs.securable_key)
        if known is None or not _covers(known, theirs):
            raise SeesMore(
                f"{other.label} sees values or rows of {theirs.securable_label} that you may not.",
                hint="Look at their decisions on the table instead: …/decisions?as=.",
            )


def _reads(plan: Plan) -> list[Decision]:
    return [decision for decision in plan.decisions if decision.action is Action.TABLE_QUERY]


def _covers(mine: Decision, theirs: Decision) -> bool:
    shown = mine.obligations
    return shown.is_empty or shown.fingerprint == theirs.obligations.fingerprint
