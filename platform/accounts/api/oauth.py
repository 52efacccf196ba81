"""The device grant's views: allauth's, with what Upend asks of every login added around them."""

from __future__ import annotations

import json

from allauth.core.internal import ratelimit
from allauth.idp.oidc import views
from allauth.idp.oidc.models import Client, Token
from django.db import transaction
from django.http import HttpRequest, HttpResponse

from accounts.oauth import record_device_login
from accounts.selectors import actor_for_user, address_of

device_code = views.device_code


def device_authorization(request: HttpRequest) -> HttpResponse:
    """Show and take a person's decision about a device's login.

    allauth exempts its view from CSRF checks; this one is not, lest another site confirm a
    stranger's device in the name of whoever is signed in.
    """
    is_guess = "code" in request.GET
    may_guess = not is_guess or ratelimit.consume(
        request,
        app="allauth.idp.oidc",
        action="device_user_code",
        limit_get=True,
        dry_run=True,  # the view counts
    )
    response: HttpResponse = views.device_authorization(request)
    if not may_guess:  # allauth's page tells people; the status tells programs
        response.status_code = 429
        response["Retry-After"] = "60"
    return response


@transaction.atomic
def token(request: HttpRequest) -> HttpResponse:
    """Issue tokens; a device's first one is recorded in the same transaction."""
    response: HttpResponse = views.token(request)
    is_first = request.POST.get("grant_type") == Client.GrantType.DEVICE_CODE
    if response.status_code != 200 or not is_first:  # noqa: PLR2004 - RFC 6749 §5.1
        return response
    text = json.loads(response.content)["access_token"]
    issued = Token.objects.by_value(text).get(type=Token.Type.ACCESS_TOKEN)
    actor = actor_for_user(
        issued.user,
        request_id=getattr(request, "request_id", ""),
        address=address_of(request),
    )
    record_device_login(actor=actor, token=issued)
    return response
