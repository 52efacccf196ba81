"""Connectors and their runs: what is pulled from where, how far it got, and what came of it."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import models
from django.utils import timezone

from accounts.models import ServiceAccount, User
from accounts.sealing import Binding
from accounts.sealing.fields import SealedField
from catalog.domain import (
    ConnectorFileState,
    ConnectorKind,
    ConnectorMode,
    ConnectorRunState,
)
from catalog.models.buckets import Bucket
from catalog.models.catalogs import Catalog
from catalog.models.jobs import Job


class Connector(models.Model):
    """One table of a customer's, or files in a bucket, pulled into one table on a schedule.

    `watermark` is the value up to which rows have been committed. `source` may be shown; the
    password is in `sealed_dsn` only, which is empty where a bucket is read. It acts as who
    created it: what they may no longer do, it may not either.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    catalog = models.ForeignKey(Catalog, on_delete=models.CASCADE, related_name="connectors")
    name = models.CharField(max_length=120)
    kind = models.CharField(
        max_length=10,
        choices=[(k.value, k.value) for k in ConnectorKind],
        default=ConnectorKind.POSTGRESQL,
    )
    source = models.JSONField(help_text="Host, port, database, user and TLS mode; or a path.")
    bucket = models.ForeignKey(Bucket, on_delete=models.PROTECT, null=True, related_name="+")
    sealed_dsn = SealedField(organization="catalog__workspace__organization_id")
    source_schema = models.CharField(max_length=63, blank=True)
    source_table = models.CharField(max_length=63, blank=True)
    target_schema = models.CharField(max_length=63, default="main")
    target_table = models.CharField(max_length=63)
    mode = models.CharField(max_length=8, choices=[(m.value, m.value) for m in ConnectorMode])
    watermark_column = models.CharField(max_length=63, blank=True)
    watermark = models.TextField(null=True)  # noqa: DJ001 - none yet is not an empty one
    interval_seconds = models.PositiveIntegerField()
    paused_at = models.DateTimeField(null=True)
    next_run_at = models.DateTimeField(default=timezone.now, db_index=True)
    failures = models.PositiveIntegerField(default=0, help_text="In a row.")
    user = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    service_account = models.ForeignKey(
        ServiceAccount, on_delete=models.PROTECT, null=True, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["catalog", "name"], name="connector_name_unique")
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def shown_source(self) -> dict[str, Any]:
        """Return where rows come from, without any secret; the bucket by the name it has now."""
        source: dict[str, Any] = self.source
        return source if self.bucket is None else source | {"bucket": self.bucket.name}

    @property
    def is_due(self) -> bool:
        """Tell whether its time has come."""
        return self.next_run_at <= timezone.now()

    @property
    def binding(self) -> Binding:
        """Return where the connection string belongs."""
        organization_id = self.catalog.workspace.organization_id
        return Binding(organization_id, "catalog.Connector", self.id, "sealed_dsn")


class ConnectorRun(models.Model):
    """One pull: the rows above `after` and up to `upto`, committed by `job` once or not at all."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    connector = models.ForeignKey(Connector, on_delete=models.CASCADE, related_name="runs")
    number = models.PositiveIntegerField()
    after = models.TextField(null=True)  # noqa: DJ001 - none yet is not an empty one
    upto = models.TextField(null=True)  # noqa: DJ001 - none yet is not an empty one
    state = models.CharField(
        max_length=10,
        choices=[(s.value, s.value) for s in ConnectorRunState],
        default=ConnectorRunState.READING,
    )
    rows = models.BigIntegerField(null=True)
    problem = models.TextField(blank=True)
    is_partial = models.BooleanField(
        default=False, help_text="More waits; the next run begins at once."
    )
    job = models.ForeignKey(Job, on_delete=models.SET_NULL, null=True, related_name="+")
    started_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(
                fields=["connector", "number"], name="connector_run_number_unique"
            ),
            models.UniqueConstraint(
                fields=["connector"],
                condition=models.Q(finished_at__isnull=True),
                name="connector_runs_one_at_a_time",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.connector} {self.number}: {self.state}"


class ConnectorFile(models.Model):
    """One object that a connector knows: it is taken once, whatever comes after it.

    The row names the object before its run reads it, and says so when the run's commit is there.
    """

    id = models.BigAutoField(primary_key=True)
    connector = models.ForeignKey(Connector, on_delete=models.CASCADE, related_name="files")
    key = models.TextField()
    etag = models.CharField(max_length=200, blank=True)
    size_bytes = models.BigIntegerField()
    modified_at = models.DateTimeField()
    state = models.CharField(max_length=8, choices=[(s.value, s.value) for s in ConnectorFileState])
    run = models.ForeignKey(
        ConnectorRun, on_delete=models.SET_NULL, null=True, related_name="files"
    )
    problem = models.TextField(blank=True)

    class Meta:
        ordering = ["modified_at", "key"]
        constraints = [
            models.UniqueConstraint(fields=["connector", "key"], name="connector_takes_a_key_once")
        ]
        indexes = [models.Index(fields=["connector", "state"], name="connector_files_by_state")]

    def __str__(self) -> str:
        return f"{self.key}: {self.state}"
