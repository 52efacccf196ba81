"""The state of governance: tags and owners of securables. Policies as rows come with authoring."""

from __future__ import annotations

import uuid

from django.db import models
from django.utils import timezone

from accounts.models import Organization, User


class TagAssignment(models.Model):
    """One tag on one securable, found by the securable's stable key."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+")
    securable_key = models.CharField(max_length=200, db_index=True)
    tag = models.SlugField(max_length=60)
    assigned_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    assigned_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["securable_key", "tag"], name="tag_assigned_once")
        ]

    def __str__(self) -> str:
        return f"{self.tag} on {self.securable_key}"


class Ownership(models.Model):
    """Who answers for a securable; named in refusals so that people know whom to ask."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+")
    securable_key = models.CharField(max_length=200, unique=True)
    owner = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")

    def __str__(self) -> str:
        return f"{self.owner} owns {self.securable_key}"
