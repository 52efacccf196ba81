"""From a verdict to a decision: the one sentence a person reads, and what would change it."""

from __future__ import annotations

from accounts.domain import Actor
from governance.domain import Action, Decision, Request
from governance.entities import Owner
from governance.verdicts import Answer

VERBS = {
    Action.AUDIT_READ: "read the ledger of",
    Action.BUCKET_MANAGE: "manage the buckets of",
    Action.CATALOG_BROWSE: "browse",
    Action.CATALOG_CREATE: "create a catalog in",
    Action.CATALOG_MANAGE: "manage",
    Action.DEVICE_MANAGE: "manage the devices of",
    Action.MEMBER_MANAGE: "manage the members of",
    Action.POLICY_AUTHOR: "draft policies for",
    Action.POLICY_PUBLISH: "publish policies for",
    Action.POLICY_VIEW_AS: "see what others see in",
    Action.QUERY_MANAGE: "manage other people's queries in",
    Action.TABLE_ALTER: "change the definition of",
    Action.TABLE_APPEND: "append to",
    Action.TABLE_CREATE: "create a table in",
    Action.TABLE_MAINTAIN: "maintain",
    Action.TABLE_MATERIALIZE_EXTRACT: "take an extract of",
    Action.TABLE_MATERIALIZE_LOCALLY: "run locally on",
    Action.TABLE_MODIFY: "change rows of",
    Action.TABLE_QUERY: "query",
    Action.TABLE_TAG: "tag",
    Action.TAG_DEFINE: "define the tags of",
    Action.WORKSPACE_MANAGE: "manage",
    Action.WORKSPACE_QUERY: "run queries in",
}
"""How each action reads in a sentence, before the name of what it is about."""

NOT_EVALUATED = "A policy could not be evaluated, so the answer is no."


def decision(actor: Actor, asked: Request, answer: Answer, owner: Owner | None) -> Decision:
    """Return the answer with its reason and remedy in words."""
    verdict = answer.verdict
    if not verdict.is_evaluated:
        reason, remedy = NOT_EVALUATED, "Ask an administrator to look at the server's log."
    elif verdict.determined_by:
        first = verdict.determined_by[0]
        reason, remedy = first.summary, "" if verdict.allowed else first.remedy
    else:
        reason, remedy = _nothing_allows(actor, asked, owner)
    return Decision(
        allowed=verdict.allowed,
        action=asked.action,
        securable_key=asked.securable.key,
        securable_label=asked.securable.label,
        reason=reason,
        determined_by=(*verdict.determined_by, *answer.shaped_by),
        remedy=remedy,
        obligations=answer.obligations,
    )


def _nothing_allows(actor: Actor, asked: Request, owner: Owner | None) -> tuple[str, str]:
    deed = f"{VERBS[asked.action]} {asked.securable.label}"
    reason = f"No policy allows {actor.label} to {deed}"
    if owner is None:
        return f"{reason}.", "Ask an administrator for a role that may."
    return f"{reason}; {owner.name} can grant it.", f"Ask {owner.email} for a role that may."
