"""Django's registration of the governance package."""

from django.apps import AppConfig


class GovernanceConfig(AppConfig):
    name = "governance"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Watch for what policies name to be deleted."""
        from governance import broken  # noqa: PLC0415 - needs the models

        broken.watch()
