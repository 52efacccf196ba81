"""The one OAuth client that Upend brings: its command line, signing in from a device (RFC 8628)."""

from __future__ import annotations

from typing import Any

from allauth.idp.oidc.models import Client

from accounts.domain import Scope

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
