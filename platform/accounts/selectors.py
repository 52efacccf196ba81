"""From rows to actors: the one place that says what a principal is made of."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from allauth.account.internal.flows.login import get_authentication_records
from django.conf import settings
from django.http import HttpRequest

from accounts import statements
from accounts.domain import Actor, DeviceIdentity, OrganizationRole, PrincipalKind, TokenIdentity
from accounts.models import ApiToken, Organization, ServiceAccount, User

TOKEN = f"""
SELECT {statements.columns(ApiToken, "t")}, {statements.columns(User, "u")},
       {statements.columns(ServiceAccount, "s")},
       ARRAY(SELECT g.group_id FROM accounts_group_users g WHERE g.user_id = t.user_id
             UNION ALL SELECT g.group_id FROM accounts_group_service_accounts g
             WHERE g.serviceaccount_id = t.service_account_id)
FROM accounts_apitoken t LEFT JOIN accounts_user u ON u.id = t.user_id
     LEFT JOIN accounts_serviceaccount s ON s.id = t.service_account_id
WHERE t.prefix = %s
"""  # noqa: S608 - names of our own models

GROUPS_OF_USER = "SELECT group_id FROM accounts_group_users WHERE user_id = %s"
GROUPS_OF_PROGRAM = (
    "SELECT group_id FROM accounts_group_service_accounts WHERE serviceaccount_id = %s"
)


def actor_for_user(
    user: User,
    *,
    request_id: str = "",
    address: str = "",
    device: DeviceIdentity | None = None,
    token: TokenIdentity | None = None,
    mfa: bool = False,
    group_ids: frozenset[UUID] | None = None,
) -> Actor:
    """Return the actor that `user` is on one request; a `token` narrows what it may do.

    `group_ids` are the person's groups where they were read with the person.
    """
    return Actor(
        kind=PrincipalKind.USER,
        id=user.id,
        label=user.email,
        organization_id=user.organization_id,
        organization_role=OrganizationRole(user.organization_role),
        group_ids=_groups_of(user) if group_ids is None else group_ids,
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
    group_ids: frozenset[UUID] | None = None,
) -> Actor:
    """Return the actor that a program is on one request. It has no device and no second factor."""
    return Actor(
        kind=PrincipalKind.SERVICE_ACCOUNT,
        id=account.id,
        label=account.name,
        organization_id=account.organization_id,
        group_ids=_groups_of(account) if group_ids is None else group_ids,
        token_id=token.id if token else None,
        scopes=token.scopes if token else None,
        request_id=request_id,
        address=address,
        attributes=account.attributes,
    )


def _groups_of(principal: User | ServiceAccount) -> frozenset[UUID]:
    if "upend_groups" in getattr(principal, "_prefetched_objects_cache", {}):
        return frozenset(group.id for group in principal.upend_groups.all())
    text = GROUPS_OF_USER if isinstance(principal, User) else GROUPS_OF_PROGRAM
    return frozenset(group_id for (group_id,) in statements.rows(text, [principal.id]))


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


@dataclass(frozen=True, slots=True)
class FoundToken:
    """A live token with its owner, and the groups that the owner belongs to."""

    token: ApiToken
    group_ids: frozenset[UUID]


def find_token(text: str, *, now: datetime) -> FoundToken | None:
    """Return the live token whose full text is `text`, None for any other."""
    brand, _, rest = text.partition("_")
    prefix, _, secret = rest.partition("_")
    if brand != "upend" or not prefix or not secret:
        return None
    rows = statements.rows(TOKEN, [prefix])
    if not rows:
        return None
    [row] = rows
    token, user, account = statements.split(row, ApiToken, User, ServiceAccount)
    if not hmac.compare_digest(token.digest, digest_of(secret)):
        return None
    token.user, token.service_account = user, account
    if not token.is_live(now) or not _owner_may_act(token.owner):
        return None
    return FoundToken(token, frozenset(row[-1]))


def _owner_may_act(owner: User | ServiceAccount) -> bool:
    return owner.is_active if isinstance(owner, User) else owner.disabled_at is None
