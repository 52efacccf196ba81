"""Names that people give to snapshots, so that maintenance keeps them."""

from __future__ import annotations

import uuid

from django.db import models
from django.utils import timezone

from accounts.models import User
from catalog.models.catalogs import Catalog


class SnapshotTag(models.Model):
    """A name of one snapshot of a catalog; while it bears one, the snapshot is not expired."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    catalog = models.ForeignKey(Catalog, on_delete=models.CASCADE, related_name="snapshot_tags")
    name = models.SlugField(max_length=80)
    snapshot_id = models.BigIntegerField()
    snapshot_time = models.DateTimeField()
    note = models.CharField(max_length=500, blank=True)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["catalog", "name"], name="snapshot_tag_name_unique")
        ]

    def __str__(self) -> str:
        return f"{self.name}: snapshot {self.snapshot_id} of {self.catalog}"
