"""From credentials to an `Actor`: sessions for the console, bearers for programs."""

from __future__ import annotations

from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request


class BearerAuthentication(BaseAuthentication):
    """`Authorization: Bearer` with an API token or an OAuth access token."""

    def authenticate(self, request: Request) -> None:  # noqa: ARG002
        """Not written yet."""
        return


class SessionAuthentication(BaseAuthentication):
    """The console's session, with CSRF protection."""

    def authenticate(self, request: Request) -> None:  # noqa: ARG002
        """Not written yet."""
        return
