"""Lakes: each one a schema of metadata and a prefix of files."""

from __future__ import annotations

import uuid

from django.db import models
from django.utils import timezone

from accounts.models import User
from catalog.models.buckets import Bucket
from governance import securables
from governance.domain import Securable, SecurableKind
from workspaces.models import Workspace


class CatalogQuerySet(models.QuerySet["Catalog"]):
    """Reads of catalogs; `visible_to` is in `catalog.selectors`, it needs a decision."""

    def live(self) -> CatalogQuerySet:
        """Leave out what was dropped."""
        return self.filter(dropped_at__isnull=True)

    def restorable(self) -> CatalogQuerySet:
        """Return what was dropped and is still there."""
        return self.filter(dropped_at__isnull=False, removed_at__isnull=True)


class Catalog(models.Model):
    """One DuckLake: a PostgreSQL schema for its metadata, a bucket prefix for its Parquet."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, related_name="catalogs")
    bucket = models.ForeignKey(Bucket, on_delete=models.PROTECT, related_name="catalogs")
    name = models.CharField(max_length=63, help_text="The name SQL uses.")
    description = models.TextField(blank=True)
    metadata_schema = models.CharField(max_length=63, unique=True)
    prefix = models.CharField(
        max_length=400,
        blank=True,
        help_text="Key prefix in the bucket; ends with a slash, or is empty for all of it.",
    )
    registered_prefixes = models.JSONField(
        default=list,
        help_text="Where else in the bucket its files may lie: others wrote those, and keep them.",
    )
    is_read_only = models.BooleanField(
        default=False, help_text="Somebody else writes it: adopted, and followed."
    )
    owns_files = models.BooleanField(
        default=True,
        help_text="Whether all below the prefix is Upend's to remove; not where it was adopted.",
    )
    is_encrypted = models.BooleanField(
        default=False, help_text="As it was made; its own metadata has the keys of its files."
    )
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    archived_at = models.DateTimeField(null=True, blank=True)
    dropped_at = models.DateTimeField(null=True, blank=True)
    remove_after = models.DateTimeField(
        null=True, blank=True, help_text="When what was dropped stops being restorable."
    )
    removed_at = models.DateTimeField(
        null=True, blank=True, help_text="When its metadata and files were gone for good."
    )

    objects = CatalogQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "name"],
                condition=models.Q(dropped_at__isnull=True),
                name="catalog_name_unique_in_workspace",
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def securable(self) -> Securable:
        """Return the catalog as something a policy can name."""
        parent = securables.workspace(self.workspace)
        return Securable(
            SecurableKind.CATALOG,
            f"catalog:{self.id}",
            self.name,
            parent.organization_id,
            parent.workspace_id,
            parent,
        )
