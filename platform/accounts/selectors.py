"""From rows to actors: the one place that says what a principal is made of."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime

from allauth.account.internal.flows.login import get_authentication_records
from django.conf import settings
from django.http import HttpRequest

from accounts.domain import Actor, DeviceIdentity, OrganizationRole, PrincipalKind, TokenIdentity
from accounts.models import ApiToken, Organization, ServiceAccount, User


def actor_for_user(
    user: User,
    *,
    request_id: str = "",
    address: str = "",
    device: DeviceIdentity | None = None,
    token: TokenIdentity | None = None,
    mfa: bool = False,
) -> Actor:
    """Return the actor that `user` is on one request; a `token` narrows what it may do."""
    return Actor(
        kind=PrincipalKind.USER,
        id=user.id,
        label=user.email,
        organization_id=user.organization_id,
        organization_role=OrganizationRole(user.organization_role),
        group_ids=frozenset(group.id for group in user.upend_groups.all()),
        device=device,
        token_id=token.id if token else None,
        scopes=token.scopes if token else None,
        mfa=mfa,
        request_id=request_id,
        address=address,
        attributes=user.attributes,
    )


def actor_for_service_account(
    account: ServiceAccount,
    *,
    request_id: str = "",
    address: str = "",
    token: TokenIdentity | None = None,
) -> Actor:
    """Return the actor that a program is on one request. It has no device and no second factor."""
    return Actor(
        kind=PrincipalKind.SERVICE_ACCOUNT,
        id=account.id,
        label=account.name,
        organization_id=account.organization_id,
        group_ids=frozenset(group.id for group in account.upend_groups.all()),
        token_id=token.id if token else None,
        scopes=token.scopes if token else None,
        request_id=request_id,
        address=address,
        attributes=account.attributes,
    )


def actor_for_session(request: HttpRequest) -> Actor | None:
    """Return who is signed in on a browser's request, None where nobody is."""
    user = request.user
    if not isinstance(user, User) or not user.is_active:
        return None
    return actor_for_browser(user, request)


def actor_for_browser(user: User, request: HttpRequest) -> Actor:
    """Return the actor that `user` is in the session of a browser's request."""
    records: Sequence[dict[str, object]] = get_authentication_records(request, user)
    return actor_for_user(
        user,
        request_id=getattr(request, "request_id", ""),
        address=address_of(request),
        mfa=any(record.get("method") == "mfa" for record in records),
    )


def organization_of(actor: Actor) -> Organization | None:
    """Return the actor's organization, None for Upend itself and for people without one."""
    if actor.organization_id is None:
        return None
    return Organization.objects.filter(id=actor.organization_id).first()


def address_of(request: HttpRequest) -> str:
    """Return the client's network address: the last hop that the proxy in front vouches for."""
    forwarded = request.headers.get("X-Forwarded-For", "") if settings.BEHIND_PROXY else ""
    address: str = forwarded.rpartition(",")[2].strip() or request.META.get("REMOTE_ADDR", "")
    return address[:64]


def digest_of(secret: str) -> str:
    """Return what is kept of a token's secret. It has 256 random bits, so SHA-256 is enough."""
    return hashlib.sha256(secret.encode()).hexdigest()


def find_token(text: str, *, now: datetime) -> ApiToken | None:
    """Return the live token whose full text is `text`, None for any other."""
    brand, _, rest = text.partition("_")
    prefix, _, secret = rest.partition("_")
    if brand != "upend" or not prefix or not secret:
        return None
    rows = ApiToken.objects.select_related("user", "service_account")
    token = rows.filter(prefix=prefix).first()
    if token is None or not hmac.compare_digest(token.digest, digest_of(secret)):
        return None
    return token if token.is_live(now) and _owner_may_act(token.owner) else None


def _owner_may_act(owner: User | ServiceAccount) -> bool:
    return owner.is_active if isinstance(owner, User) else owner.disabled_at is None
