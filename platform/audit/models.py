"""The ledger's rows. Append-only: a database trigger refuses UPDATE and DELETE."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from accounts.domain import Actor, OrganizationRole
from accounts.models import Organization
from workspaces.domain import WorkspaceRole
from workspaces.models import Membership, Workspace


class AuditRecordQuerySet(models.QuerySet["AuditRecord"]):
    """Reads of the ledger."""

    def visible_to(self, actor: Actor) -> AuditRecordQuerySet:
        """Return what `actor` may read.

        Organization admins and auditors read everything of theirs; workspace owners, stewards
        and auditors read their workspaces; everyone else reads what they did themselves.
        """
        if actor.organization_id is None:
            return self.none()
        own = self.filter(organization_id=actor.organization_id)
        if actor.organization_role in {OrganizationRole.ADMIN, OrganizationRole.AUDITOR}:
            return own

        readers = [WorkspaceRole.OWNER, WorkspaceRole.STEWARD, WorkspaceRole.AUDITOR]
        readable = Membership.objects.of(actor).filter(role__in=readers).values("workspace_id")
        return own.filter(models.Q(workspace_id__in=readable) | models.Q(actor_id=actor.id))

    def unchained(self) -> AuditRecordQuerySet:
        """Return the records that no checkpoint holds yet."""
        links = LedgerLink.objects.filter(record_id=models.OuterRef("id"))
        return self.filter(~models.Exists(links))


class AuditRecord(models.Model):
    """One thing that happened, written in the transaction that made it happen."""

    id = models.BigAutoField(primary_key=True)
    recorded_at = models.DateTimeField(default=timezone.now, db_index=True)
    organization = models.ForeignKey(
        Organization, on_delete=models.PROTECT, null=True, related_name="+"
    )
    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, null=True, related_name="+")
    event = models.CharField(max_length=60, db_index=True)
    actor_kind = models.CharField(max_length=20)
    actor_id = models.UUIDField()
    actor_label = models.CharField(max_length=254)
    device_id = models.UUIDField(null=True)
    token_id = models.UUIDField(null=True)
    target_kind = models.CharField(max_length=40)
    target_id = models.CharField(max_length=200)
    target_label = models.CharField(max_length=400)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    decision = models.JSONField(null=True)
    request_id = models.CharField(max_length=64, blank=True)
    address = models.CharField(max_length=64, blank=True)

    objects = AuditRecordQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["organization", "-id"]),
            models.Index(fields=["workspace", "-id"]),
            models.Index(fields=["target_kind", "target_id"]),
        ]

    def __str__(self) -> str:
        return f"{self.event} by {self.actor_label}"


class LedgerLink(models.Model):
    """The place of one record in the chain over the ledger; written once."""

    position = models.BigIntegerField(primary_key=True)
    record_id = models.BigIntegerField(unique=True)

    class Meta:
        ordering = ["position"]

    def __str__(self) -> str:
        return f"{self.position}: record {self.record_id}"


class LedgerCheckpoint(models.Model):
    """How long the ledger was at a time, and the head of its chain, as organizations signed it."""

    number = models.BigIntegerField(primary_key=True)
    size = models.BigIntegerField()
    head = models.BinaryField()
    taken_at = models.DateTimeField()
    text = models.TextField(help_text="What is kept outside too: a JSON list of JWS.")

    class Meta:
        ordering = ["number"]

    def __str__(self) -> str:
        return f"checkpoint {self.number} of {self.size} records"
