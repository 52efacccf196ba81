"""Django's registration of the accounts package."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class AccountsConfig(AppConfig):
    name = "accounts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Bring the first-party OAuth client with every migration, as Django does permissions."""
        from accounts.oauth import ensure_command_line_client  # noqa: PLC0415 - needs the apps

        post_migrate.connect(
            ensure_command_line_client, dispatch_uid="upend-cli", sender=_idp_config()
        )


def _idp_config() -> AppConfig:
    from django.apps import apps  # noqa: PLC0415 - needs the apps

    return apps.get_app_config("allauth_idp_oidc")
