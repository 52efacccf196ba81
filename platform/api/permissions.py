"""The floor under every endpoint: someone must be acting, and their token must reach this far.

What the principal may do, services decide. A token without the scope that a view names for the
method is refused; a view that names none is closed to tokens.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from accounts.domain import Actor, Scope
from problems import Problem

ANY_TOKEN = None
"""As a value of `required_scopes`: every live token may call this method."""
RequiredScopes = Mapping[str, Scope | None]
"""HTTP method → the scope a token needs. HEAD follows GET."""


class InsufficientScope(Problem):
    """The principal might, but this token of theirs may not (RFC 6750 §3.1)."""

    code: ClassVar[str] = "insufficient-scope"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "The token does not reach this far"
    challenge: ClassVar[str] = 'Bearer error="insufficient_scope"'


class HasActor(BasePermission):
    """Require that authentication named a principal, and that its token has the view's scope."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Tell whether someone acts. Raises `InsufficientScope` for a token that is too narrow."""
        if not isinstance(request.auth, Actor):
            return False
        _check_scope(request.auth, request.method or "", getattr(view, "required_scopes", {}))
        return True


def _check_scope(actor: Actor, method: str, required: RequiredScopes) -> None:
    if actor.scopes is None or method == "OPTIONS":
        return
    method = "GET" if method == "HEAD" else method
    if method not in required:
        message = "This address is for the console's session only, not for tokens."
        raise InsufficientScope(message)
    scope = required[method]
    if scope is not None and scope not in actor.scopes:
        message = f"This needs a token with the scope {scope}."
        hint = "Create such a token in the console, or sign in again asking for the scope."
        raise InsufficientScope(message, hint=hint, required_scope=str(scope))


def actor_of(request: Request) -> Actor:
    """Return who acts. Only for views behind `HasActor`."""
    actor = request.auth
    if not isinstance(actor, Actor):
        message = "actor_of was called on a request without an actor"
        raise TypeError(message)
    return actor
