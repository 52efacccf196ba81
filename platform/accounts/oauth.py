"""The one OAuth client that Upend brings: its command line, signing in from a device (RFC 8628)."""

from __future__ import annotations

import uuid
from typing import Any

from allauth.idp.oidc.models import Client, Token

from accounts.domain import Actor, Scope
from audit import services as audit
from audit.domain import Event

NAMES = uuid.UUID("6f1c7b52-6f64-4d0e-9d55-0f6f5d0a2a11")
"""Names OAuth tokens, whose keys are numbers, by UUIDs in the ledger (uuid5 of the number)."""
CLIENT_ID = "upend-cli"
DEFAULT_SCOPES = (Scope.CATALOG_READ, Scope.DEVICE_ENROLL, Scope.QUERY_RUN)


def ensure_command_line_client(**_: Any) -> None:
    """Create or repair the public client `upend-cli`; safe to call after every migration."""
    client = Client.objects.filter(id=CLIENT_ID).first() or Client(id=CLIENT_ID)
    client.name = "Upend command line"
    client.type = Client.Type.PUBLIC
    client.secret = "!"  # noqa: S105 - no hash equals it: a public client has no secret
    client.set_grant_types([Client.GrantType.DEVICE_CODE, Client.GrantType.REFRESH_TOKEN])
    client.set_response_types([])
    client.set_scopes([str(scope) for scope in Scope])
    client.set_default_scopes([str(scope) for scope in DEFAULT_SCOPES])
    client.save()


def token_id(token: Token) -> uuid.UUID:
    """Return the name of an OAuth token in the ledger."""
    return uuid.uuid5(NAMES, str(token.pk))


@audit.service
def record_device_login(*, actor: Actor, token: Token) -> None:
    """Write to the ledger that a person's device was given a token."""
    audit.record(
        actor=actor,
        event=Event.TOKEN_CREATED,
        target=audit.Target(
            "oauth_token", str(token_id(token)), token.client_id, actor.organization_id
        ),
        after={
            "grant": "device_code",
            "scopes": token.get_scopes(),
            "expires_at": token.expires_at.isoformat(),
        },
    )
