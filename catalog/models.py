"""The state of what exists: buckets, catalogs, and the jobs of the one writer per catalog.

Tables, columns, files and snapshots are never mirrored here: `catalog.lake` reads them from
DuckLake's own metadata tables.
"""

from __future__ import annotations

import uuid

from django.db import models
from django.utils import timezone

from accounts.domain import Actor
from accounts.models import User
from catalog.domain import BucketKind, JobKind, JobState
from governance import securables
from governance.domain import Securable, SecurableKind
from workspaces.models import Workspace


class Bucket(models.Model):
    """An S3-compatible location. `hosted` uses Upend's own storage settings and a prefix."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, related_name="buckets")
    name = models.CharField(max_length=120)
    kind = models.CharField(
        max_length=12, choices=[(k.value, k.value) for k in BucketKind], default=BucketKind.HOSTED
    )
    bucket_name = models.CharField(max_length=120)
    prefix = models.CharField(max_length=400, help_text="Ends with a slash.")
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.name


class CatalogQuerySet(models.QuerySet["Catalog"]):
    """Reads of catalogs; `visible_to` is in `catalog.selectors`, it needs a decision."""

    def live(self) -> CatalogQuerySet:
        """Leave out what was dropped."""
        return self.filter(dropped_at__isnull=True)


class Catalog(models.Model):
    """One DuckLake: a PostgreSQL schema for its metadata, a bucket prefix for its Parquet."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, related_name="catalogs")
    bucket = models.ForeignKey(Bucket, on_delete=models.PROTECT, related_name="catalogs")
    name = models.CharField(max_length=63, help_text="The name SQL uses.")
    description = models.TextField(blank=True)
    metadata_schema = models.CharField(max_length=63, unique=True)
    prefix = models.CharField(
        max_length=400, unique=True, help_text="Key prefix in the bucket; ends with a slash."
    )
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    dropped_at = models.DateTimeField(null=True, blank=True)

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


class JobQuerySet(models.QuerySet["Job"]):
    """Reads of writer jobs."""

    def visible_to(self, actor: Actor) -> JobQuerySet:
        """Return the jobs of workspaces that `actor` belongs to."""
        return self.filter(catalog__workspace__in=Workspace.objects.visible_to(actor))


class Job(models.Model):
    """One write to one catalog, carried out in order by that catalog's single writer.

    The row is the queue: the broker only says "look now", so a lost message loses nothing.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    catalog = models.ForeignKey(Catalog, on_delete=models.CASCADE, related_name="jobs")
    kind = models.CharField(max_length=30, choices=[(k.value, k.value) for k in JobKind])
    arguments = models.JSONField(default=dict)
    idempotency_key = models.CharField(max_length=120, blank=True)
    state = models.CharField(
        max_length=12, choices=[(s.value, s.value) for s in JobState], default=JobState.QUEUED
    )
    attempts = models.PositiveSmallIntegerField(default=0)
    progress = models.JSONField(default=dict)
    result = models.JSONField(null=True)
    problem = models.JSONField(null=True)
    requested_by = models.JSONField(help_text="The actor, as recorded.")
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True)
    heartbeat_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    objects = JobQuerySet.as_manager()

    is_published: bool | None = None
    """Whether the broker took the message, known only to who queued the job; not stored."""

    class Meta:
        ordering = ["created_at"]
        indexes = [models.Index(fields=["catalog", "state", "created_at"])]
        constraints = [
            models.UniqueConstraint(
                fields=["catalog", "idempotency_key"],
                condition=~models.Q(idempotency_key=""),
                name="job_idempotency_key_unique",
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} on {self.catalog}: {self.state}"
