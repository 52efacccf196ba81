"""From credentials to an `Actor`: sessions for the console, bearers for programs."""

from __future__ import annotations

from dataclasses import replace

from allauth.idp.oidc.models import Token as OAuthToken
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.utils import timezone
from django.utils.encoding import escape_uri_path
from rest_framework import authentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from accounts import oauth
from accounts import services as accounts
from accounts.domain import Actor, TokenIdentity
from accounts.models import Device, User
from accounts.selectors import (
    FoundToken,
    actor_for_service_account,
    actor_for_session,
    actor_for_user,
    address_of,
    find_token,
)
from api import dpop


class BearerAuthentication(authentication.BaseAuthentication):
    """`Authorization: Bearer` with an API token or an OAuth access token.

    A person's request may carry a `DPoP` header; if so it must be valid, and names the device.
    """

    def authenticate(self, request: Request) -> tuple[User | AnonymousUser, Actor] | None:
        """Return who acts; None without a bearer, `AuthenticationFailed` for a bad one."""
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        user, actor = _api_token(request, text) or _oauth_token(request, text) or _refuse()
        proof = request.headers.get("DPoP")
        if proof is None or user is None:
            return user or AnonymousUser(), actor
        return user, _with_device(request, user, actor, proof, text)

    def authenticate_header(self, request: Request) -> str:  # noqa: ARG002 - DRF's signature
        """Return the challenge that makes a refusal a 401 (RFC 6750 §3)."""
        return 'Bearer realm="upend"'


class SessionAuthentication(authentication.SessionAuthentication):
    """The console's session, with CSRF protection."""

    def authenticate(self, request: Request) -> tuple[User, Actor] | None:
        """Return who is signed in, None where nobody is."""
        actor = actor_for_session(request._request)  # noqa: SLF001 - DRF's own way
        if actor is None:
            return None
        self.enforce_csrf(request)
        user: User = request._request.user  # type: ignore[assignment]  # noqa: SLF001
        return user, actor


def _refuse() -> tuple[User | None, Actor]:
    message = "The token is unknown, expired or revoked. Sign in again or create a new one."
    raise AuthenticationFailed(message)


def _api_token(request: Request, text: str) -> tuple[User | None, Actor] | None:
    now = timezone.now()
    found = find_token(text, now=now)
    if found is None:
        return None
    accounts.note_token_use(found.token, now=now)
    return found.token.user, _actor_of(found, request)


def _actor_of(found: FoundToken, request: Request) -> Actor:
    token, group_ids = found.token, found.group_ids
    identity = TokenIdentity(token.id, frozenset(token.scopes))
    request_id, address = _circumstances(request)
    if token.user is not None:
        return actor_for_user(
            token.user,
            token=identity,
            request_id=request_id,
            address=address,
            group_ids=group_ids,
        )
    assert token.service_account is not None  # noqa: S101 - constraint api_token_has_one_principal
    return actor_for_service_account(
        token.service_account,
        token=identity,
        request_id=request_id,
        address=address,
        group_ids=group_ids,
    )


def _oauth_token(request: Request, text: str) -> tuple[User, Actor] | None:
    token = OAuthToken.objects.lookup(OAuthToken.Type.ACCESS_TOKEN, text)
    user: User | None = token.user if token else None
    if token is None or user is None or not user.is_active:
        return None
    identity = TokenIdentity(oauth.token_id(token), frozenset(token.get_scopes()))
    request_id, address = _circumstances(request)
    return user, actor_for_user(user, token=identity, request_id=request_id, address=address)


def _circumstances(request: Request) -> tuple[str, str]:
    plain = request._request  # noqa: SLF001 - DRF's own way
    return getattr(plain, "request_id", ""), address_of(plain)


def _with_device(request: Request, user: User, actor: Actor, text: str, access_token: str) -> Actor:
    plain = request._request  # noqa: SLF001 - DRF's own way
    now = timezone.now()
    url = f"{settings.PUBLIC_URL}{escape_uri_path(plain.path)}"
    proof = dpop.verify(
        text, method=plain.method or "", url=url, access_token=access_token, now=now
    )
    dpop.refuse_replay(proof)
    plain.dpop_proof = proof  # type: ignore[attr-defined]
    device = Device.objects.filter(thumbprint=proof.thumbprint).first()
    if device is None:
        return actor  # not enrolled yet; only the enrolment itself has a use for the proof
    if device.user_id != user.id:
        message = "This device is enrolled by another person."
        raise dpop.ProofRefused(message, hint="Enroll with a key of your own: `upend login`.")
    accounts.note_device_seen(device, now=now)
    return replace(actor, device=device.identity)


def is_still_valid(request: Request) -> bool:
    """Tell whether the credentials of a request that is still being answered are good now.

    A device's proof is not asked for again: it was for the request, which is the same one.
    """
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return bool(_api_token(request, text) or _oauth_token(request, text))
    session, user = request._request.session, request._request.user  # noqa: SLF001 - DRF's own way
    if user.pk is None or not session.exists(session.session_key or ""):
        return False
    return User.objects.filter(id=user.pk, is_active=True).exists()


def proof_of(request: Request) -> dpop.Proof | None:
    """Return the device proof that authentication verified on this request, if it had one."""
    plain: HttpRequest = request._request  # noqa: SLF001 - DRF's own way
    return getattr(plain, "dpop_proof", None)
