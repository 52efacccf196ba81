"""Django's registration of the api package."""

from django.apps import AppConfig


class ApiConfig(AppConfig):
    name = "api"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the schema's extensions, which drf-spectacular finds once imported."""
        import api.schema  # noqa: F401, PLC0415 - needs Django's settings
