"""Where Upend's rules meet django-allauth: who may sign up, what tokens may say."""

from typing import ClassVar

from allauth.account.adapter import DefaultAccountAdapter
from allauth.idp.oidc.adapter import DefaultOIDCAdapter
from django.http import HttpRequest

from accounts.domain import Scope


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Accounts are created by administrators: there is no public sign-up."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:  # noqa: ARG002
        """Refuse public sign-up."""
        return False


class OIDCAdapter(DefaultOIDCAdapter):  # type: ignore[misc]
    """The identity provider's scopes, as a person reads them when approving a device."""

    scope_display: ClassVar[dict[str, str]] = {
        Scope.ADMIN: "Administer the organization in your name",
        Scope.AUDIT_READ: "Read the audit ledger as far as you may",
        Scope.CATALOG_READ: "See the catalogs that you may see",
        Scope.CATALOG_WRITE: "Change catalogs and upload data as far as you may",
        Scope.DEVICE_ENROLL: "Enroll this device, list yours and revoke them",
        Scope.QUERY_RUN: "Run queries on what you may query",
    }
