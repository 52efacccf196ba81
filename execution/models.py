"""The state of what runs: queries, the grants and files of local runs, saved queries."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models.functions import Coalesce
from django.utils import timezone

from accounts.domain import Actor, PrincipalKind
from accounts.keys import Binding
from accounts.models import Device, ServiceAccount, User
from accounts.sealing.fields import SealedField
from catalog.models import Catalog
from execution.domain import ExportState, Place, QueryState, ResultFormat
from execution.extracts.domain import ExtractState
from workspaces.domain import WorkspaceRole
from workspaces.models import Membership, Workspace


class QueryQuerySet(models.QuerySet["Query"]):
    """Reads of queries."""

    def visible_to(self, actor: Actor) -> QueryQuerySet:
        """Return the actor's own queries, and all of the workspaces they own or steward."""
        if actor.organization_id is None:
            return self.none()
        stewarded = Membership.objects.of(actor).filter(
            role__in=[WorkspaceRole.OWNER, WorkspaceRole.STEWARD, WorkspaceRole.AUDITOR]
        )
        own = (
            models.Q(user_id=actor.id)
            if actor.kind is PrincipalKind.USER
            else models.Q(service_account_id=actor.id)
        )
        return self.filter(
            own | models.Q(workspace__in=stewarded.values("workspace_id")),
            workspace__organization_id=actor.organization_id,
        )


class Extract(models.Model):
    """A governed extract: what some see of a table, as a file. The row is the queue of writers.

    `digest` is of all that it depends on; of one digest, one is being prepared or ready.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="extracts")
    catalog_id = models.UUIDField()
    table_key = models.CharField(max_length=200)
    table_label = models.CharField(max_length=300)
    snapshot_id = models.BigIntegerField(help_text="Since when the table is what it holds.")
    committed_at = models.DateTimeField(null=True)
    fingerprint = models.CharField(max_length=64, help_text="Obligations.fingerprint of its view.")
    columns = models.JSONField(help_text="Names of the columns it holds.")
    filters = models.JSONField(help_text="[[column, operator, [values]]]; none is all rows.")
    digest = models.CharField(max_length=64)
    job = models.JSONField(help_text="The SQL that makes it, and the record of its slice.")
    state = models.CharField(
        max_length=12,
        choices=[(s.value, s.value) for s in ExtractState],
        default=ExtractState.PREPARING,
    )
    key = models.CharField(max_length=400, blank=True, help_text="Empty where there is no object.")
    size_bytes = models.BigIntegerField(null=True)
    row_count = models.BigIntegerField(null=True)
    footer_bytes = models.PositiveIntegerField(null=True)
    column_bytes = models.JSONField(default=dict)
    sealed_secret = SealedField(
        default=b"",
        organization="workspace__organization_id",
        help_text="What opens the file; empty where its table's lake is not encrypted.",
    )
    attempts = models.PositiveSmallIntegerField(default=0)
    worker = models.CharField(max_length=120, blank=True)
    problem = models.JSONField(null=True)
    created_at = models.DateTimeField(default=timezone.now)
    heartbeat_at = models.DateTimeField(null=True)
    ready_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(
        null=True, help_text="Of a failed one: until when nobody tries again."
    )

    class Meta:
        indexes = [
            models.Index(
                fields=["workspace", "table_key", "fingerprint"],
                condition=models.Q(state__in=["preparing", "ready"]),
                name="extract_live",
            )
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["digest"],
                condition=models.Q(state__in=["preparing", "ready"]),
                name="extract_is_written_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.table_label}: {self.state}"

    @property
    def binding(self) -> Binding:
        """Return where the secret belongs, for `accounts.keys`."""
        organization_id = self.workspace.organization_id
        return Binding(organization_id, "execution.Extract", self.id, "sealed_secret")


class Query(models.Model):
    """One run of a plan. The row is the queue: the broker only says "look now"."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, related_name="queries")
    user = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="queries")
    service_account = models.ForeignKey(
        ServiceAccount, on_delete=models.PROTECT, null=True, related_name="queries"
    )
    device = models.ForeignKey(Device, on_delete=models.PROTECT, null=True, related_name="queries")
    sql = models.TextField()
    canonical_sql = models.TextField()
    plan = models.JSONField(help_text="The plan as shown, `Plan.as_dict()`.")
    execution = models.JSONField(help_text="What run needs to rebuild the slice exactly.")
    footing = models.JSONField(
        default=dict, help_text="By table: its columns when planned, and what was shown of them."
    )
    asked = models.JSONField(
        default=dict, help_text="What later decisions look at again: purpose, mfa, address, bytes."
    )
    place = models.CharField(max_length=12, choices=[(p.value, p.value) for p in Place])
    state = models.CharField(max_length=12, choices=[(s.value, s.value) for s in QueryState])
    idempotency_key = models.CharField(max_length=120, blank=True)
    request_digest = models.CharField(max_length=64, blank=True)
    principal_key = models.GeneratedField(
        expression=Coalesce("user_id", "service_account_id"),
        output_field=models.UUIDField(null=True),
        db_persist=True,
    )
    priority = models.PositiveSmallIntegerField(
        default=0, help_text="`Priority.rank`: the lower goes first."
    )
    is_heavy = models.BooleanField(default=False, help_text="Leaves one slot to small queries.")
    slot_bytes = models.BigIntegerField(
        default=0, help_text="Memory it wants above a slot's own; once admitted, what it got."
    )
    attempts = models.PositiveSmallIntegerField(default=0)
    worker = models.CharField(max_length=120, blank=True, help_text="machine/process.")
    cancel_requested_at = models.DateTimeField(null=True)
    progress = models.JSONField(default=dict, help_text="percent, rows, bytes.")
    problem = models.JSONField(null=True, help_text="Problem document of a failure.")
    engine_error = models.TextField(
        blank=True, help_text="What the engine said, redacted; for owners of the data."
    )
    columns = models.JSONField(default=list, help_text="[{name, type}] as DuckDB spells types.")
    row_count = models.BigIntegerField(null=True)
    result_bytes = models.BigIntegerField(null=True)
    result_key = models.CharField(max_length=400, blank=True)
    result_expires_at = models.DateTimeField(null=True)
    evicted_at = models.DateTimeField(
        null=True, help_text="When newer results needed the room of its rows."
    )
    truncated = models.BooleanField(default=False)
    reuse_key = models.CharField(
        max_length=64, blank=True, help_text="Equal where two complete results must be equal."
    )
    cached_from = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        related_name="reused_by",
        help_text="The query that made the rows, where it was another one.",
    )
    cached_at = models.DateTimeField(null=True, help_text="When that one had made them.")
    bytes_read = models.BigIntegerField(null=True, help_text="Fetched from the bucket.")
    engine_seconds = models.FloatField(null=True)
    run_seconds = models.FloatField(
        null=True, help_text="From start to end without waiting: what predictions are held against."
    )
    handed_over_from = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        related_name="handed_over_to",
        help_text="The local run that outgrew its machine.",
    )
    receipt = models.JSONField(null=True, help_text="Verified receipt of a local run.")
    extracts = models.ManyToManyField(
        Extract, related_name="queries", help_text="What a local run reads in tables' places."
    )
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True)
    heartbeat_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    objects = QueryQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["workspace", "-created_at"]),
            models.Index(
                fields=["principal_key", "-started_at"],
                condition=models.Q(attempts__gt=0),
                name="query_served",
            ),
            models.Index(
                fields=["workspace", "principal_key", "is_heavy", "priority", "created_at"],
                include=["id", "slot_bytes"],
                condition=models.Q(state="queued"),
                name="query_line",
            ),
            # None of their columns changes with a heartbeat, so that a beat touches no index.
            models.Index(
                fields=["state", "started_at"],
                condition=models.Q(state__in=["delegated", "preparing", "queued", "running"]),
                name="query_open",
            ),
            models.Index(
                fields=["is_heavy", "-finished_at"],
                condition=models.Q(place="server", finished_at__isnull=False, attempts__gt=0),
                name="query_finished",
            ),
            models.Index(
                fields=["reuse_key"], condition=~models.Q(reuse_key=""), name="query_reuse_key"
            ),
            models.Index(
                fields=["workspace", "request_digest"],
                condition=~models.Q(reuse_key=""),
                name="query_repeated",
            ),
            models.Index(
                fields=["result_key"], condition=~models.Q(result_key=""), name="query_result_key"
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "user", "service_account", "idempotency_key"],
                condition=~models.Q(idempotency_key=""),
                nulls_distinct=False,
                name="query_idempotency_key_unique",
            )
        ]

    def __str__(self) -> str:
        return f"{self.id} {self.state}"


class LearnedCorrection(models.Model):
    """How far predictions were off in a workspace: on its server, or on one person's device.

    `log_mean` and `runs` are those of `execution.timing.Correction`.
    """

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="corrections")
    device = models.ForeignKey(
        Device, on_delete=models.CASCADE, null=True, related_name="corrections"
    )
    log_mean = models.FloatField(default=0.0)
    runs = models.PositiveIntegerField(default=0)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "device"],
                nulls_distinct=False,
                name="correction_of_a_place_unique",
            )
        ]

    def __str__(self) -> str:
        return f"{self.workspace_id} {self.device_id or 'server'}: {self.log_mean:+.2f}"


class ResultExport(models.Model):
    """A result in another format, written once when first asked for. The row is the queue."""

    query = models.ForeignKey(Query, on_delete=models.CASCADE, related_name="exports")
    format = models.CharField(max_length=12, choices=[(f.value, f.value) for f in ResultFormat])
    state = models.CharField(
        max_length=12, choices=[(s.value, s.value) for s in ExportState], default=ExportState.QUEUED
    )
    attempts = models.PositiveSmallIntegerField(default=0)
    size_bytes = models.BigIntegerField(null=True)
    problem = models.JSONField(null=True)
    created_at = models.DateTimeField(default=timezone.now)
    heartbeat_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["query", "format"], name="result_export_format")
        ]

    def __str__(self) -> str:
        return f"{self.query_id} as {self.format}: {self.state}"

    @property
    def key(self) -> str:
        """Return the object's key, beside the result it was made from."""
        return export_key(self.query.result_key, self.format)


def export_key(result_key: str, form: str) -> str:
    """Return where a result lies in another format: the same for all queries that share it."""
    return f"{result_key.removesuffix('.arrow')}.{form}"


class Grant(models.Model):
    """What one manifest entitles one device to fetch, until it expires or is revoked."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    query = models.OneToOneField(Query, on_delete=models.CASCADE, related_name="grant")
    device = models.ForeignKey(Device, on_delete=models.PROTECT, related_name="grants")
    bearer_digest = models.CharField(max_length=64, help_text="SHA-256 of the file bearer.")
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"grant {self.id}"


class GrantedFile(models.Model):
    """One file of a grant: `/files/<grant>/<ordinal>` stands for `key` in `bucket_name`."""

    grant = models.ForeignKey(Grant, on_delete=models.CASCADE, related_name="files")
    ordinal = models.PositiveIntegerField()
    catalog = models.ForeignKey(
        Catalog, on_delete=models.CASCADE, db_constraint=False, db_index=False, related_name="+"
    )
    table_key = models.CharField(max_length=200)
    bucket_name = models.CharField(max_length=120)
    key = models.CharField(max_length=1024)
    size_bytes = models.BigIntegerField()
    extract = models.ForeignKey(Extract, on_delete=models.PROTECT, null=True, related_name="+")
    first_fetched_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["grant", "ordinal"], name="granted_file_ordinal")
        ]

    def __str__(self) -> str:
        return f"{self.grant_id}/{self.ordinal}"


class SavedQuery(models.Model):
    """A named query with a permalink, shared with the workspace."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="saved_queries")
    name = models.CharField(max_length=120)
    description = models.TextField(blank=True)
    sql = models.TextField()
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["workspace", "name"], name="saved_query_name_unique")
        ]

    def __str__(self) -> str:
        return self.name
