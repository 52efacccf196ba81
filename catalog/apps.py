"""Django's registration of the catalog package."""

from django.apps import AppConfig


class CatalogConfig(AppConfig):
    name = "catalog"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Let governance find what policies name, and runs of upkeep follow their steps."""
        from audit import anchors  # noqa: PLC0415 - as above
        from catalog.domain import JobKind  # noqa: PLC0415 - as above
        from catalog.inventory import LakeInventory  # noqa: PLC0415 - needs the models
        from catalog.maintenance import holds  # noqa: PLC0415 - as above
        from catalog.services import jobs, maintenance  # noqa: PLC0415 - as above
        from catalog.storage.anchoring import StorageAnchor  # noqa: PLC0415 - as above
        from catalog.stored_views.dependents import ViewsOfLake  # noqa: PLC0415 - as above
        from catalog.tables import dependents  # noqa: PLC0415 - as above
        from catalog.tables.held import held_snapshots  # noqa: PLC0415 - as above
        from governance import inventory  # noqa: PLC0415 - as above

        anchors.register(StorageAnchor())
        inventory.register(LakeInventory())
        jobs.follow(JobKind.MAINTAIN, lambda job: maintenance.step_ended(job=job))
        holds.register_tagged(held_snapshots)
        dependents.register(ViewsOfLake())
