"""Lakes that were made elsewhere, on their way to becoming catalogs, and where they came from."""

from __future__ import annotations

import uuid

from django.db import models
from django.utils import timezone

from accounts.domain import Actor
from accounts.sealing import Binding
from accounts.sealing.fields import SealedField
from audit.services import Target
from catalog.domain import AdoptionMode, AdoptionSource, AdoptionState
from catalog.models.buckets import Bucket
from catalog.models.catalogs import Catalog
from workspaces.models import Workspace


class AdoptionQuerySet(models.QuerySet["Adoption"]):
    """Reads of adoptions."""

    def visible_to(self, actor: Actor) -> AdoptionQuerySet:
        """Return the adoptions of workspaces that `actor` belongs to."""
        return self.filter(workspace__in=Workspace.objects.visible_to(actor))


class Adoption(models.Model):
    """One lake: its metadata is read into `metadata_schema`, checked, reported, and then adopted.

    The row is the job. A read-only lake of a customer's PostgreSQL is read again every
    `sync_seconds`, each time into a schema of its own.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, related_name="adoptions")
    bucket = models.ForeignKey(Bucket, on_delete=models.PROTECT, related_name="adoptions")
    catalog = models.OneToOneField(
        Catalog, on_delete=models.PROTECT, null=True, related_name="adoption"
    )
    name = models.CharField(max_length=63)
    description = models.TextField(blank=True)
    mode = models.CharField(max_length=12, choices=[(m.value, m.value) for m in AdoptionMode])
    source = models.CharField(max_length=12, choices=[(s.value, s.value) for s in AdoptionSource])
    source_label = models.CharField(max_length=300, help_text="What may be shown of the source.")
    source_schema = models.CharField(max_length=63)
    sealed_dsn = SealedField(organization="workspace__organization_id", default=b"")
    staged_key = models.CharField(max_length=400, blank=True)
    prefix = models.CharField(max_length=400, blank=True, help_text="Where its files lie.")
    metadata_schema = models.CharField(max_length=63, blank=True)
    retired_schema = models.CharField(
        max_length=63, blank=True, help_text="The one before: queries may still read it."
    )
    fingerprint = models.JSONField(null=True, help_text="Of the source, when it was last read.")
    sync_seconds = models.PositiveIntegerField(default=0, help_text="0 is never by itself.")
    synced_at = models.DateTimeField(null=True)
    sync_requested_at = models.DateTimeField(null=True)
    state = models.CharField(
        max_length=12,
        choices=[(s.value, s.value) for s in AdoptionState],
        default=AdoptionState.QUEUED,
    )
    is_cancelled = models.BooleanField(default=False)
    progress = models.JSONField(default=dict)
    report = models.JSONField(null=True)
    problem = models.JSONField(null=True)
    requested_by = models.JSONField(help_text="The actor, as recorded.")
    created_at = models.DateTimeField(default=timezone.now)
    heartbeat_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    objects = AdoptionQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.name} from {self.source_label}"

    @property
    def binding(self) -> Binding:
        """Return where the connection string belongs, for `accounts.keys`."""
        return Binding(self.workspace.organization_id, "catalog.Adoption", self.id, "sealed_dsn")

    @property
    def target(self) -> Target:
        """Return the adoption as the ledger names it."""
        organization_id = self.workspace.organization_id
        return Target("adoption", str(self.id), self.name, organization_id, self.workspace_id)

    @property
    def place(self) -> Catalog:
        """Return a catalog, not saved, that reads what has been read so far."""
        return Catalog(
            id=self.id,
            workspace=self.workspace,
            bucket=self.bucket,
            name=self.name,
            metadata_schema=self.metadata_schema,
            prefix=self.prefix,
        )
