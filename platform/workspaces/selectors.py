"""Reads of workspaces that every room starts from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from django.db.models import Q, QuerySet

from accounts.composed import ComposedFor, first
from accounts.domain import Actor, OrganizationRole
from accounts.models import ServiceAccount, User
from accounts.selectors import actor_for_service_account, actor_for_user
from problems import NotFound
from workspaces.domain import WorkspaceRole
from workspaces.models import Membership, Workspace

Acting = TypeVar("Acting", User, ServiceAccount)


@dataclass(frozen=True, slots=True)
class Principal:
    """Someone who may act in a workspace: as a session of theirs would, with the roles held."""

    actor: Actor
    name: str
    roles: frozenset[WorkspaceRole]


def principals_of(workspace: Workspace) -> list[Principal]:
    """Return the people and programs that may act in the workspace, by their label.

    Members, directly or through a group, and the organization's administrators and auditors; not
    those who were disabled. The number of statements does not grow with them.
    """
    held = list(Membership.objects.filter(workspace=workspace))
    groups = [m.group_id for m in held if m.group_id]
    overseers = [OrganizationRole.ADMIN, OrganizationRole.AUDITOR]
    users = User.objects.filter(
        Q(id__in=[m.user_id for m in held if m.user_id])
        | Q(upend_groups__in=groups)
        | Q(organization_role__in=overseers),
        organization_id=workspace.organization_id,
        is_active=True,
    )
    accounts = ServiceAccount.objects.filter(
        Q(id__in=[m.service_account_id for m in held if m.service_account_id])
        | Q(upend_groups__in=groups),
        organization_id=workspace.organization_id,
        disabled_at=None,
    )
    found = [
        *((actor_for_user(u), u.display_name) for u in _with_groups(users)),
        *((actor_for_service_account(a), a.name) for a in _with_groups(accounts)),
    ]
    named = [Principal(actor, name, _roles(actor, held)) for actor, name in found]
    return sorted(named, key=lambda one: (one.actor.label, one.actor.id))


def _with_groups(rows: QuerySet[Acting]) -> QuerySet[Acting]:
    return rows.order_by().distinct().prefetch_related("upend_groups")


def _roles(actor: Actor, held: Iterable[Membership]) -> frozenset[WorkspaceRole]:
    own = {actor.id, *actor.group_ids}
    return frozenset(
        WorkspaceRole(m.role)
        for m in held
        if own & {m.user_id, m.service_account_id, m.group_id} - {None}
    )


def _named(actor: Actor, slug: str) -> QuerySet[Workspace]:
    visible = Workspace.objects.visible_to(actor).select_related("organization")
    return visible.filter(slug=slug).order_by()


def _numbered(actor: Actor, key: UUID) -> QuerySet[Workspace]:
    visible = Workspace.objects.visible_to(actor).select_related("organization")
    return visible.filter(id=key).order_by()


_by_slug, _by_id = ComposedFor(_named), ComposedFor(_numbered)


def find_workspace(actor: Actor, reference: str) -> Workspace:
    """Return the workspace that `reference`, a slug or an id, names to `actor`.

    Raises `NotFound` where there is none that the actor may see.
    """
    workspace = first(_by_slug.ask(actor, slug=reference))
    if workspace is None and (key := _uuid(reference)) is not None:
        workspace = first(_by_id.ask(actor, key=key))
    if workspace is None:
        message = f"There is no workspace {reference!r}, or you do not belong to it."
        raise NotFound(message, hint="GET /api/v1/workspaces lists yours.")
    return workspace


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
