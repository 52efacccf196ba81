"""The floor under every endpoint: someone must be acting. What they may do, services decide."""

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from accounts.domain import Actor


class HasActor(BasePermission):
    """Require that authentication named a principal."""

    def has_permission(self, request: Request, view: Any) -> bool:  # noqa: ARG002
        """Tell whether someone acts."""
        return isinstance(request.auth, Actor)


def actor_of(request: Request) -> Actor:
    """Return who acts. Only for views behind `HasActor`."""
    actor = request.auth
    if not isinstance(actor, Actor):
        message = "actor_of was called on a request without an actor"
        raise TypeError(message)
    return actor
