"""Writes to API tokens: issue, note use, revoke."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from accounts.authorization import administer, own_or_administer, require
from accounts.domain import Actor, Scope
from accounts.models import ApiToken, ServiceAccount, User
from accounts.selectors import digest_of
from audit import services as audit
from audit import targets
from audit.domain import Event
from problems import Invalid

USE_IS_NOTED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A new token and its full text, which is shown once and kept nowhere."""

    token: ApiToken
    text: str


@audit.service
def create_token(
    *,
    actor: Actor,
    owner: User | ServiceAccount,
    name: str,
    scopes: frozenset[Scope],
    expires_at: datetime,
) -> IssuedToken:
    """Issue a token for `owner`: a person for themselves, an administrator for a program.

    Raises `Invalid` for no scope, a scope beyond those of the token that asks, or an expiry
    that is past or later than settings.TOKEN_MAX_DAYS.
    """
    if isinstance(owner, User):
        verdict = own_or_administer(actor, owner.id, None, "token.create")
        target = targets.user(owner)
    else:
        verdict = administer(actor, owner.organization_id, "token.create")
        target = targets.service_account(owner)
    require(verdict, actor=actor, target=target)
    _check(actor, scopes, expires_at)
    prefix, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    token = ApiToken.objects.create(
        user=owner if isinstance(owner, User) else None,
        service_account=owner if isinstance(owner, ServiceAccount) else None,
        name=name,
        prefix=prefix,
        digest=digest_of(secret),
        scopes=sorted(scopes),
        expires_at=expires_at,
    )
    audit.record(
        actor=actor,
        event=Event.TOKEN_CREATED,
        target=targets.token(token),
        after={"scopes": token.scopes, "expires_at": expires_at.isoformat()},
    )
    return IssuedToken(token, f"upend_{prefix}_{secret}")


def _check(actor: Actor, scopes: frozenset[Scope], expires_at: datetime) -> None:
    if not scopes:
        message = "A token needs at least one scope."
        raise Invalid(message, hint=f"Choose among: {', '.join(Scope)}.")
    if actor.scopes is not None and not scopes <= actor.scopes:
        message = "A token cannot be given more than the token that asks for it has."
        raise Invalid(message, hint="Sign in to the console to create a wider token.")
    latest = timezone.now() + timedelta(days=settings.TOKEN_MAX_DAYS)
    if not timezone.now() < expires_at <= latest:
        message = f"A token must expire within {settings.TOKEN_MAX_DAYS} days from now."
        raise Invalid(message, hint=f"Choose an expiry before {latest:%Y-%m-%d}.")


@audit.service
def revoke_token(*, actor: Actor, token: ApiToken) -> ApiToken:
    """End a token at once. Revoking it again changes nothing."""
    target = targets.token(token)
    owner = token.owner
    verdict = own_or_administer(actor, owner.id, owner.organization_id, "token.revoke")
    require(verdict, actor=actor, target=target)
    if token.revoked_at is None:
        token.revoked_at = timezone.now()
        token.save(update_fields=["revoked_at"])
        audit.record(actor=actor, event=Event.TOKEN_REVOKED, target=target)
    return token


def note_token_use(token: ApiToken, *, now: datetime) -> None:
    """Keep `last_used_at` fresh to the minute, with at most one write a minute."""
    if token.last_used_at is not None and now - token.last_used_at < USE_IS_NOTED_EVERY:
        return
    ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
