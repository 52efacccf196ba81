"""Rows that were sent and are on their way: the queue of a table's batches, and what they hold."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.utils import timezone

from catalog.ingest.domain import BatchState, IngestMode, OnError, RowFormat, SchemaMode
from catalog.models.catalogs import Catalog

UNFINISHED = (BatchState.TAKEN, BatchState.WAITING)


def _choices(members: Any) -> list[tuple[str, str]]:
    return [(one.value, one.value) for one in members]


class IngestBatch(models.Model):
    """Rows for one table, sent in one request; committed in the order of their numbers.

    The row is the queue. `job_id` is the group that it is committed with: fixed before the
    commit, so that a retry commits the same group or finds that it was.
    """

    id = models.BigAutoField(primary_key=True)
    catalog = models.ForeignKey(
        Catalog,
        on_delete=models.CASCADE,
        related_name="batches",
        db_index=False,  # an index of all batches costs, and is mistaken for that of the queue
    )
    table_uuid = models.UUIDField()
    schema_name = models.CharField(max_length=255, help_text="As it was when the rows came.")
    table_name = models.CharField(max_length=255)
    mode = models.CharField(max_length=10, choices=_choices(IngestMode))
    format = models.CharField(max_length=10, choices=_choices(RowFormat))
    on_error = models.CharField(max_length=10, choices=_choices(OnError))
    key_columns = models.JSONField(default=list)
    schema_mode = models.CharField(max_length=10, choices=_choices(SchemaMode))
    shape = models.CharField(
        max_length=64, blank=True, help_text="Of the columns that the rows were checked against."
    )
    evolution = models.JSONField(default=dict)
    is_checked = models.BooleanField(
        default=False, help_text="Every cell was checked before the answer."
    )
    keeps_raw = models.BooleanField(help_text="Whether rejected rows may be kept as text.")
    idempotency_key = models.CharField(max_length=120, blank=True)
    digest = models.CharField(max_length=64, help_text="Of the whole request, for repetitions.")
    requested_by = models.JSONField(help_text="The actor, as recorded.")
    size_bytes = models.BigIntegerField()
    row_count = models.BigIntegerField(null=True, help_text="Rows that fit; unknown until checked.")
    rejected_count = models.BigIntegerField(default=0)
    errors = models.JSONField(default=list, help_text="The first rejected rows, for the sender.")
    state = models.CharField(
        max_length=10, choices=_choices(BatchState), default=BatchState.WAITING
    )
    job_id = models.UUIDField(null=True)
    is_alone = models.BooleanField(default=False, help_text="Shares a commit with no other.")
    staged_key = models.CharField(max_length=200, blank=True)
    snapshot_id = models.BigIntegerField(null=True)
    problem = models.JSONField(null=True)
    accepted_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(
                fields=["catalog", "id"],
                include=["size_bytes"],
                condition=models.Q(state__in=UNFINISHED),
                name="ingest_batch_unfinished",
            ),
            models.Index(
                fields=["finished_at"],
                condition=models.Q(finished_at__isnull=False),
                name="ingest_batch_ended_at",
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["catalog", "table_uuid", "idempotency_key"],
                condition=~models.Q(idempotency_key=""),
                name="ingest_batch_key_unique",
            )
        ]

    def __str__(self) -> str:
        return f"batch {self.id}: {self.state}"

    @property
    def is_finished(self) -> bool:
        """Tell whether nothing more will happen to it."""
        return self.state not in UNFINISHED


class IngestPayload(models.Model):
    """What a small batch holds: cells as an Arrow stream where they were checked, else the body."""

    batch = models.OneToOneField(
        IngestBatch, on_delete=models.CASCADE, primary_key=True, related_name="payload"
    )
    content = models.BinaryField(null=True, help_text="Nothing where it is staged in the bucket.")
    rejected = models.JSONField(default=list, help_text="Rows for the side table.")

    def __str__(self) -> str:
        return f"payload of batch {self.batch_id}"


class IngestSetting(models.Model):
    """What somebody decided about rows sent to one table."""

    catalog = models.ForeignKey(Catalog, on_delete=models.CASCADE, related_name="+")
    table_uuid = models.UUIDField()
    schema_mode = models.CharField(
        max_length=10, choices=_choices(SchemaMode), default=SchemaMode.STRICT
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["catalog", "table_uuid"], name="ingest_setting_of_a_table"
            )
        ]

    def __str__(self) -> str:
        return f"{self.table_uuid}: {self.schema_mode}"
