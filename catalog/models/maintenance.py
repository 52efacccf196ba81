"""How lakes are kept: policies that tables inherit, runs that carried them out, how lakes stood."""

from __future__ import annotations

import uuid

from django.db import models
from django.utils import timezone

from accounts.domain import Actor
from catalog.maintenance.domain import RunState, Trigger
from catalog.models.catalogs import Catalog
from workspaces.models import Workspace


class MaintenancePolicy(models.Model):
    """What is said of the upkeep of a catalog, or of one of its tables; null is inherited."""

    catalog = models.ForeignKey(
        Catalog, on_delete=models.CASCADE, related_name="maintenance_policies"
    )
    table_uuid = models.UUIDField(null=True, blank=True, help_text="Null: the whole catalog.")
    enabled = models.BooleanField(null=True)
    target_file_bytes = models.BigIntegerField(null=True)
    keep_days = models.PositiveIntegerField(null=True, help_text="0 keeps every snapshot.")
    keep_tagged = models.BooleanField(null=True)
    quiet_hours = models.CharField(  # noqa: DJ001 - null is inherited, empty is any time
        max_length=11, null=True, help_text="22:00-06:00, UTC; empty is any time."
    )
    daily_budget_bytes = models.BigIntegerField(null=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["catalog", "table_uuid"],
                nulls_distinct=False,
                name="maintenance_policy_once",
            )
        ]

    def __str__(self) -> str:
        return f"upkeep of {self.table_uuid or self.catalog}"


class MaintenanceRunQuerySet(models.QuerySet["MaintenanceRun"]):
    """Reads of runs."""

    def visible_to(self, actor: Actor) -> MaintenanceRunQuerySet:
        """Return the runs of workspaces that `actor` belongs to."""
        return self.filter(catalog__workspace__in=Workspace.objects.visible_to(actor))

    def active(self) -> MaintenanceRunQuerySet:
        """Return those that have not ended."""
        return self.filter(state__in=[RunState.QUEUED, RunState.RUNNING])


class MaintenanceRun(models.Model):
    """One run of upkeep: steps, each a job of the catalog's writer, planned afresh each time."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    catalog = models.ForeignKey(Catalog, on_delete=models.CASCADE, related_name="maintenance_runs")
    table_uuid = models.UUIDField(null=True, help_text="Null: every table of the catalog.")
    table_label = models.CharField(max_length=200, blank=True, help_text="schema.table")
    trigger = models.CharField(max_length=12, choices=[(t.value, t.value) for t in Trigger])
    state = models.CharField(
        max_length=12, choices=[(s.value, s.value) for s in RunState], default=RunState.QUEUED
    )
    sort_keys = models.JSONField(default=list, help_text="Columns to sort the table by, if any.")
    kinds = models.JSONField(default=list, help_text="Steps that it may take; empty: all.")
    step = models.JSONField(null=True, help_text="What is done now.")
    progress = models.JSONField(default=dict)
    done = models.JSONField(default=list, help_text="Steps that were done, with what they wrote.")
    bytes_written = models.BigIntegerField(default=0)
    files_removed = models.BigIntegerField(default=0)
    problem = models.JSONField(null=True)
    requested_by = models.JSONField(help_text="The actor, as recorded.")
    cancel_requested_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    objects = MaintenanceRunQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["catalog", "-created_at"], name="maintenance_history")]
        constraints = [
            models.UniqueConstraint(
                fields=["catalog"],
                condition=models.Q(state__in=["queued", "running"]),
                name="maintenance_runs_one_at_a_time",
            )
        ]

    def __str__(self) -> str:
        return f"upkeep of {self.table_label or self.catalog}: {self.state}"

    @property
    def is_active(self) -> bool:
        """Tell whether it has not ended."""
        return self.state in {RunState.QUEUED, RunState.RUNNING}


class CatalogStanding(models.Model):
    """How a lake stood when it was last measured, so that many are listed in one statement."""

    catalog = models.OneToOneField(Catalog, on_delete=models.CASCADE, related_name="standing")
    snapshot_id = models.BigIntegerField(null=True, help_text="The newest when it was measured.")
    measured_at = models.DateTimeField(null=True)
    totals = models.JSONField(default=dict, help_text="Of all its tables, and of its history.")
    tables = models.JSONField(default=list, help_text="Those that need work, the worst first.")
    steps = models.JSONField(default=list, help_text="What the schedule will do, in order.")
    orphans = models.JSONField(
        default=dict, help_text="What of its bucket nothing names: table UUID to [count, bytes]."
    )
    orphans_found_at = models.DateTimeField(null=True, help_text="When the bucket was listed.")

    def __str__(self) -> str:
        return f"standing of {self.catalog}"
