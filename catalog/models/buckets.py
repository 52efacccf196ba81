"""Where files are kept: S3-compatible locations."""

from __future__ import annotations

import uuid

from django.db import models
from django.utils import timezone

from catalog.domain import BucketKind
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
