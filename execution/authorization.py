"""Asks again about a query that was planned earlier: rights may have ended since."""

from __future__ import annotations

from accounts.domain import Actor
from execution import selectors
from execution.models import Query
from governance import securables
from governance import services as governance
from governance.domain import Action, DecisionContext, Request

SERVER = DecisionContext(place="server")
LOCAL = DecisionContext(place="local")
ON_SERVER = (Action.TABLE_QUERY,)
ON_DEVICE = (Action.TABLE_QUERY, Action.TABLE_MATERIALIZE_LOCALLY)


def authorize_again(
    actor: Actor, query: Query, actions: tuple[Action, ...], context: DecisionContext
) -> None:
    """Raise `AccessDenied` unless `actor` may do all `actions` on every table of the query now.

    To see a query is not to read its rows: an auditor sees that it ran and what it asked, and
    someone who may no longer query a table does not read yesterday's result of it either.
    """
    asked = [
        Request(Action.WORKSPACE_QUERY, securables.workspace(query.workspace)),
        *(Request(action, table) for table in selectors.tables_of(query) for action in actions),
    ]
    for request, decision in zip(asked, governance.decide_many(actor, asked, context), strict=True):
        if not decision.allowed:
            raise governance.denied(actor, decision, request.securable)
