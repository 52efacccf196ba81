"""Large files on their way, part by part, from who sends them straight to the storage."""

from __future__ import annotations

import uuid

from django.db import models
from django.utils import timezone

from accounts.domain import Actor
from catalog.domain import TransferState
from catalog.models.catalogs import Catalog
from catalog.models.jobs import Job


class TransferQuerySet(models.QuerySet["Transfer"]):
    """Reads of transfers: nobody sees another's."""

    def of(self, actor: Actor) -> TransferQuerySet:
        """Return those that `actor` began."""
        return self.filter(principal_kind=actor.kind, principal_id=actor.id)


class Transfer(models.Model):
    """One multipart upload into the staging area, and what is to become of it.

    `arguments` are those of the job that will write it. `preview` has values of rows, so it is
    shown to who sent them and forgotten with the file.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    catalog = models.ForeignKey(Catalog, on_delete=models.CASCADE, related_name="transfers")
    principal_kind = models.CharField(max_length=20)
    principal_id = models.UUIDField()
    arguments = models.JSONField()
    key = models.CharField(max_length=400)
    upload_id = models.CharField(max_length=300, help_text="The storage's name of the upload.")
    size_bytes = models.BigIntegerField()
    part_bytes = models.BigIntegerField()
    state = models.CharField(
        max_length=12,
        choices=[(s.value, s.value) for s in TransferState],
        default=TransferState.OPEN,
    )
    preview_job = models.ForeignKey(Job, on_delete=models.SET_NULL, null=True, related_name="+")
    preview = models.JSONField(null=True)
    loads = models.PositiveSmallIntegerField(default=0, help_text="How often it was tried.")
    job = models.ForeignKey(Job, on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(db_index=True)

    objects = TransferQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.arguments.get('file_name', 'file')}: {self.state}"

    @property
    def part_count(self) -> int:
        """Return how many parts there are; the last one may be smaller."""
        return max(1, -(-self.size_bytes // self.part_bytes))
