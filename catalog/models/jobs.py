"""The queue of each catalog's one writer."""

from __future__ import annotations

import uuid

from django.db import models
from django.utils import timezone

from accounts.domain import Actor
from catalog.domain import JobKind, JobState
from catalog.models.catalogs import Catalog
from workspaces.models import Workspace


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
    kept = models.JSONField(null=True, help_text="What of the result only its asker may read.")
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
