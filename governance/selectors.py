"""Decisions: what the database knows goes in, one answer with its reason per question comes out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from accounts.domain import Actor
from accounts.models import Organization
from governance import engine, entities, reasons
from governance.domain import Action, Decision, DecisionContext, Request, Securable
from governance.entities import Facts, Owner
from governance.models import Ownership
from governance.tags import assigned_tags_of, assignments, column_tags_of, tags_of
from workspaces.domain import WorkspaceRole
from workspaces.models import Membership

__all__ = [
    "assigned_tags_of",
    "column_tags_of",
    "contact_of",
    "decide",
    "decide_many",
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
    actor: Actor, requests: Sequence[Request], context: DecisionContext | None = None
) -> tuple[Decision, ...]:
    """Answer many questions, in order, with a number of SQL queries that does not grow with them.

    Cedar is asked once per workspace named, because roles belong to a workspace.
    """
    facts = _facts(actor, [request.securable for request in requests])
    verdicts = _verdicts(actor, requests, facts, context or DecisionContext())
    # Whom to ask is said only where no policy speaks: a policy that refuses says what would help.
    unanswered = [
        request.securable
        for request, verdict in zip(requests, verdicts, strict=True)
        if not verdict.allowed and not verdict.determined_by
    ]
    fallback = _workspace_owners(s for s in unanswered if facts.owner_of(s) is None)
    return tuple(
        reasons.decision(actor, request, verdict, _contact(request.securable, facts, fallback))
        for request, verdict in zip(requests, verdicts, strict=True)
    )


def contact_of(securable: Securable) -> Owner | None:
    """Return whom to ask about the securable: its owner, an ancestor's, or a workspace owner."""
    facts = Facts({}, {}, owners_of([securable]), local_mode_enabled=False)
    return facts.owner_of(securable) or _workspace_owners([securable]).get(securable.workspace_id)


def _verdicts(
    actor: Actor, requests: Sequence[Request], facts: Facts, context: DecisionContext
) -> list[engine.Verdict]:
    circumstances = {
        asked: entities.circumstances(actor, asked, facts)
        for asked in {context, *(r.context for r in requests if r.context)}
    }
    positions: dict[UUID | None, list[int]] = {}
    for position, request in enumerate(requests):
        positions.setdefault(request.securable.workspace_id, []).append(position)
    verdicts: dict[int, engine.Verdict] = {}
    for workspace_id, group in positions.items():
        securables = [requests[position].securable for position in group]
        known = [
            entities.principal(actor, facts.roles_in(workspace_id)),
            *entities.resources(securables, facts),
        ]
        asked = [_request(actor, requests[p], circumstances, context) for p in group]
        answers = engine.evaluate(engine.role_defaults(), asked, known)
        verdicts.update(zip(group, answers, strict=True))
    return [verdicts[position] for position in range(len(requests))]


def _request(
    actor: Actor,
    asked: Request,
    circumstances: Mapping[DecisionContext, engine.Json],
    default: DecisionContext,
) -> engine.Json:
    return entities.request(actor, asked, circumstances[asked.context or default])


def _facts(actor: Actor, securables: Sequence[Securable]) -> Facts:
    organization = Organization.objects.filter(id__in=filter(None, [actor.organization_id]))
    return Facts(
        roles=_roles(actor, securables),
        tags=assignments(securables),
        owners=owners_of(securables),
        local_mode_enabled=organization.filter(local_mode_enabled=True).exists(),
    )


def _roles(actor: Actor, securables: Sequence[Securable]) -> dict[UUID, frozenset[WorkspaceRole]]:
    wanted = {s.workspace_id for s in securables if s.workspace_id}
    rows = Membership.objects.of(actor).filter(workspace_id__in=wanted)
    found: dict[UUID, set[WorkspaceRole]] = {}
    for workspace_id, role in rows.values_list("workspace_id", "role"):
        found.setdefault(workspace_id, set()).add(WorkspaceRole(role))
    return {workspace_id: frozenset(roles) for workspace_id, roles in found.items()}


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
