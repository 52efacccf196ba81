"""Reads of workspaces that every room starts from."""

from __future__ import annotations

from uuid import UUID

from accounts.domain import Actor
from problems import NotFound
from workspaces.models import Workspace


def find_workspace(actor: Actor, reference: str) -> Workspace:
    """Return the workspace that `reference`, a slug or an id, names to `actor`.

    Raises `NotFound` where there is none that the actor may see.
    """
    visible = Workspace.objects.visible_to(actor).select_related("organization")
    workspace = visible.filter(slug=reference).first()
    if workspace is None and (key := _uuid(reference)) is not None:
        workspace = visible.filter(id=key).first()
    if workspace is None:
        message = f"There is no workspace {reference!r}, or you do not belong to it."
        raise NotFound(message, hint="GET /api/v1/workspaces lists yours.")
    return workspace


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
