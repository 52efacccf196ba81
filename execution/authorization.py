"""Asks again about a query that was planned earlier: rights may have ended since."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from accounts.domain import Actor
from audit.domain import Event
from audit.services import Denial
from execution import asked, footing, selectors
from execution.models import Query
from governance import securables
from governance import services as governance
from governance.domain import Action, Decision, DecisionContext, Request, Securable
from problems import Conflict

SERVER = DecisionContext(place="server")
LOCAL = DecisionContext(place="local")
ON_SERVER = (Action.TABLE_QUERY,)
ON_DEVICE = (Action.TABLE_QUERY, Action.TABLE_MATERIALIZE_LOCALLY)
AS_EXTRACT = (Action.TABLE_QUERY, Action.TABLE_MATERIALIZE_EXTRACT)
SHOWING = frozenset({Action.TABLE_QUERY, Action.TABLE_MATERIALIZE_EXTRACT})


class PoliciesChanged(Conflict):
    """What the query shows of a table is not what the reader may see of it now."""

    code = "policies-changed"
    title = "The policies are not those that the query was planned under"

    denial: Denial | None = None


def authorize_again(
    actor: Actor,
    query: Query,
    actions: tuple[Action, ...],
    context: DecisionContext,
    *,
    extracts: Collection[str] = (),
) -> tuple[Decision, ...]:
    """Return the decisions that let `actor` do all `actions` on every table of the query now.

    To see a query is not to read its rows: an auditor sees that it ran and what it asked, and
    someone who may no longer query a table does not read yesterday's result of it either. Raises
    `AccessDenied`, or `PoliciesChanged` where masks, row filters or hidden columns are now, or for
    this reader, others than those that the query was planned under. `extracts` are the keys of
    tables that are read as extracts: of those, what is asked is whether they may be.
    """
    workspace = securables.workspace(query.workspace)
    wanted = [(Request(Action.WORKSPACE_QUERY, workspace), footing.Footing())]
    for table in selectors.tables_of(query):
        then = asked.context_of(query, table.key, context)
        of_table = AS_EXTRACT if table.key in extracts else actions
        for stood in footing.all_of(table.key, query.footing):
            known = replace(table, columns=stood.columns)
            wanted += [(Request(action, known, then), stood) for action in of_table]
    answers = governance.decide_many(actor, [request for request, _ in wanted], context)
    for (request, stood), decision in zip(wanted, answers, strict=True):
        if not decision.allowed:
            raise governance.denied(actor, decision, request.securable)
        _check(actor, request, decision, stood)
    return answers


def _check(actor: Actor, request: Request, decision: Decision, stood: footing.Footing) -> None:
    """Raise `PoliciesChanged` where the rows would show what the decision hides."""
    if request.action in SHOWING and not stood.still_holds(decision.obligations):
        raise changed(actor, request.securable, decision)
    # Whole files show everything: what is masked, filtered or hidden never leaves as such.
    if request.action is Action.TABLE_MATERIALIZE_LOCALLY and not decision.obligations.is_empty:
        raise changed(actor, request.securable, decision)


def changed(actor: Actor, table: Securable, decision: Decision) -> PoliciesChanged:
    """Return the problem of a table that is shown otherwise now; it carries its own record."""
    problem = PoliciesChanged(
        f"The policies of {table.label} changed since the query was planned, or they show you "
        "another part of it than the person who asked.",
        hint="Run it again: the new result shows what you may see now.",
        table=table.label,
    )
    problem.denial = Denial(
        actor,
        Event.DECISION_DENIED,
        securables.target(table),
        decision.as_dict(),
        {"problem": problem.code},
    )
    return problem
