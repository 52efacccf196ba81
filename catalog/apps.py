"""Django's registration of the catalog package."""

from django.apps import AppConfig


class CatalogConfig(AppConfig):
    name = "catalog"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Let governance find what policies name."""
        from catalog.inventory import LakeInventory  # noqa: PLC0415 - needs the models
        from governance import inventory  # noqa: PLC0415 - as above

        inventory.register(LakeInventory())
