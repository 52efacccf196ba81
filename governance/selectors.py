"""Decisions: what the database knows goes in, one answer with its reason per question comes out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID

from accounts.domain import Actor
from governance import reasons, verdicts
from governance.bundle import Bundle
from governance.domain import Action, Decision, DecisionContext, Request, Securable
from governance.entities import Facts, Owner
from governance.knowledge import Known, know
from governance.models import Ownership
from governance.tags import assigned_tags_of, assignments, column_tags_of, own_column_tags, tags_of
from workspaces.domain import WorkspaceRole
from workspaces.models import Membership, Workspace

__all__ = [
    "Known",
    "assigned_tags_of",
    "column_tags_of",
    "contact_of",
    "decide",
    "decide_many",
    "know",
    "own_column_tags",
    "owners_of",
    "tags_of",
]


def decide(
    actor: Actor,
    action: Action,
    securable: Securable,
    context: DecisionContext | None = None,
) -> Decision:
    """Answer one question; never raises for a refusal and never writes."""
    return decide_many(actor, [Request(action, securable)], context)[0]


def decide_many(
    actor: Actor,
    requests: Sequence[Request],
    context: DecisionContext | None = None,
    *,
    bundle: Bundle | None = None,
    known: Known | None = None,
) -> tuple[Decision, ...]:
    """Answer many questions, in order, with a number of SQL queries that does not grow with them.

    `bundle` stands for what holds in its workspace, for drafts and simulations. `known` is what
    `know` returned for these securables a moment ago, where one request asks twice.
    """
    known = known or know(actor, requests)
    facts, bundles = known.facts, known.bundles
    if bundle is not None and bundle.workspace_id is not None:
        bundles = {**bundles, bundle.workspace_id: bundle}
    answers = verdicts.answers(actor, requests, context or DecisionContext(), facts, bundles)
    # Whom to ask is said only where no policy speaks: a policy that refuses says what would help.
    unanswered = [
        request.securable
        for request, answer in zip(requests, answers, strict=True)
        if not answer.verdict.allowed and not answer.verdict.determined_by
    ]
    fallback = _workspace_owners(s for s in unanswered if facts.owner_of(s) is None)
    return tuple(
        reasons.decision(actor, request, answer, _contact(request.securable, facts, fallback))
        for request, answer in zip(requests, answers, strict=True)
    )


def contact_of(securable: Securable) -> Owner | None:
    """Return whom to ask about the securable: its owner, an ancestor's, or a workspace owner."""
    facts = Facts({}, {}, owners_of([securable]), local_mode_enabled=False)
    return facts.owner_of(securable) or _workspace_owners([securable]).get(securable.workspace_id)


def facts_about(workspace: Workspace, securables: Sequence[Securable]) -> Facts:
    """Return what the database knows of securables, whoever asks; roles are left to the caller."""
    return Facts(
        roles={},
        tags=assignments(securables, with_columns=True),
        owners=owners_of(securables),
        local_mode_enabled=workspace.organization.local_mode_enabled,
    )


def owners_of(securables: Iterable[Securable]) -> dict[str, Owner]:
    """Return the owner of each securable and of its ancestors, by key, without inheritance."""
    rows = Ownership.objects.filter(securable_key__in=_keys(securables)).select_related("owner")
    return {
        row.securable_key: Owner(row.owner.id, row.owner.display_name, row.owner.email)
        for row in rows
    }


def _workspace_owners(securables: Iterable[Securable]) -> dict[UUID | None, Owner]:
    wanted = {s.workspace_id for s in securables if s.workspace_id}
    if not wanted:
        return {}
    rows = Membership.objects.filter(
        workspace_id__in=wanted, role=WorkspaceRole.OWNER, user__is_active=True
    ).select_related("user")
    found: dict[UUID | None, Owner] = {}
    for row in rows.order_by("created_at"):
        if row.user:
            owner = Owner(row.user.id, row.user.display_name, row.user.email)
            found.setdefault(row.workspace_id, owner)
    return found


def _contact(
    securable: Securable, facts: Facts, fallback: dict[UUID | None, Owner]
) -> Owner | None:
    return facts.owner_of(securable) or fallback.get(securable.workspace_id)


def _keys(securables: Iterable[Securable]) -> set[str]:
    return {node.key for s in securables for node in (s, *s.ancestors)}
