"""Who asks for a page and in which workspace: the console's half of authentication."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import resolve_url

from accounts import selectors as accounts
from accounts.domain import Actor
from problems import NotFound, Problem
from workspaces.models import Workspace

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


class SignInNeeded(Problem):
    """The session ended, or never began."""

    code = "sign-in-needed"
    status = 401
    title = "Sign in first"


def actor_of(request: HttpRequest) -> Actor:
    """Return who is signed in. It never has a device: a browser cannot prove one's key.

    Raises `SignInNeeded` where nobody is.
    """
    actor = accounts.actor_for_session(request)
    if actor is None:
        raise SignInNeeded("Nobody is signed in in this browser.", hint="Sign in, then try again.")
    return actor


def workspace_of(request: HttpRequest, slug: str) -> Workspace:
    """Return the workspace at `slug` and remember it as the one to come back to.

    Raises `NotFound` where it does not exist or the person does not belong to it.
    """
    visible = Workspace.objects.visible_to(actor_of(request))
    workspace = visible.select_related("organization").filter(slug=slug).first()
    if workspace is None:
        raise NotFound(
            f"There is no workspace “{slug}”, or you do not belong to it.",
            hint="Choose a workspace at the top left, or ask its owner to add you.",
        )
    if request.session.get("workspace") != slug:
        request.session["workspace"] = slug
    return workspace


def signed_in(view: View[P]) -> View[P]:
    """Send visitors to the sign-in page and back; fragments make the whole page go there."""

    @functools.wraps(view)
    def wrapper(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if request.user.is_authenticated:
            return view(request, *args, **kwargs)
        if request.headers.get("HX-Request"):
            return HttpResponse(status=204, headers={"HX-Redirect": resolve_url("account_login")})
        return redirect_to_login(request.get_full_path())

    return wrapper
