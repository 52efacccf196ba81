"""Django's registration of the embedded package."""

from django.apps import AppConfig


class EmbeddedConfig(AppConfig):
    name = "embedded"
    default_auto_field = "django.db.models.BigAutoField"
