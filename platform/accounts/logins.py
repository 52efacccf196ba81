"""Logins are recorded by Django's own signal, the one place that sees every way to sign in."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from accounts.domain import Actor
from accounts.models import User
from accounts.selectors import actor_for_browser
from audit import services as audit
from audit import targets
from audit.domain import Event


def on_login(*, request: HttpRequest, user: User, **_: Any) -> None:
    """Record that `user` signed in; connected to `user_logged_in`."""
    record_login(actor=actor_for_browser(user, request), user=user)


@audit.service
def record_login(*, actor: Actor, user: User) -> None:
    """Write a login to the ledger; a login that cannot be recorded does not happen."""
    audit.record(
        actor=actor, event=Event.USER_LOGGED_IN, target=targets.user(user), after={"mfa": actor.mfa}
    )
