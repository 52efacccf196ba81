"""Django's registration of the accounts package."""

from django.apps import AppConfig, apps
from django.contrib.auth.signals import user_logged_in
from django.db.models.signals import post_migrate


class AccountsConfig(AppConfig):
    name = "accounts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Bring the first-party OAuth client with every migration, and record every login."""
        from accounts.logins import on_login  # noqa: PLC0415 - needs the models
        from accounts.oauth import ensure_command_line_client  # noqa: PLC0415 - needs the models

        user_logged_in.connect(on_login, dispatch_uid="upend-record-login")
        post_migrate.connect(
            ensure_command_line_client,
            dispatch_uid="upend-cli",
            sender=apps.get_app_config("allauth_idp_oidc"),
        )
