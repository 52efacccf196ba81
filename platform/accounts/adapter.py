"""Where Upend's rules meet django-allauth: who may sign up, what tokens may say."""

from allauth.account.adapter import DefaultAccountAdapter
from allauth.idp.oidc.adapter import DefaultOIDCAdapter
from django.http import HttpRequest


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Accounts are created by administrators: there is no public sign-up."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:  # noqa: ARG002
        """Refuse public sign-up."""
        return False


class OIDCAdapter(DefaultOIDCAdapter):  # type: ignore[misc]
    """The identity provider's scopes, as a person reads them when approving a device."""
