"""The one call by which every room refuses: `authorize`."""

from __future__ import annotations

from accounts.domain import Actor
from audit import services as audit
from audit.domain import Event
from governance import selectors
from governance.domain import Action, Decision, DecisionContext, Securable
from governance.securables import target
from governance.selectors import decide
from problems import Problem


class AccessDenied(Problem):
    """The actor may see the thing but not do this to it; carries the decision."""

    code = "access-denied"
    status = 403
    title = "Not allowed"


def authorize(
    actor: Actor,
    action: Action,
    securable: Securable,
    context: DecisionContext | None = None,
) -> Decision:
    """Return the decision when it allows, raise `AccessDenied` when it does not.

    The refusal is recorded in the ledger: by the service around this call once it has rolled
    back, else by the surface that shows the problem.
    """
    decision = decide(actor, action, securable, context)
    if not decision.allowed:
        raise denied(actor, decision, securable)
    return decision


def denied(actor: Actor, decision: Decision, securable: Securable) -> AccessDenied:
    """Return the problem for a `decision` that was already made and does not allow."""
    owner = selectors.contact_of(securable)
    problem = AccessDenied(
        decision.reason,
        hint=decision.remedy,
        decision=decision.as_dict(),
        owner={"name": owner.name, "email": owner.email} if owner else None,
    )
    problem.denial = audit.Denial(
        actor, Event.DECISION_DENIED, target(securable), decision.as_dict()
    )
    return problem
