"""Where files are kept: S3-compatible locations, and the keys that reach them."""

from __future__ import annotations

import uuid

from django.db import models
from django.utils import timezone

from accounts.domain import Actor
from accounts.keys import Binding
from accounts.models import User
from accounts.sealing.fields import SealedField
from audit.services import Target
from catalog.domain import AddressingStyle, BucketKind, CredentialKind, Encryption
from workspaces.models import Workspace


class BucketQuerySet(models.QuerySet["Bucket"]):
    """Reads of buckets."""

    def connected(self) -> BucketQuerySet:
        """Leave out what was disconnected."""
        return self.filter(disconnected_at__isnull=True)

    def visible_to(self, actor: Actor) -> BucketQuerySet:
        """Return the buckets of workspaces that `actor` belongs to."""
        return self.filter(workspace__in=Workspace.objects.visible_to(actor))


class Bucket(models.Model):
    """An S3-compatible location. `hosted` uses Upend's own storage settings and a prefix."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, related_name="buckets")
    name = models.CharField(max_length=120)
    kind = models.CharField(
        max_length=12, choices=[(k.value, k.value) for k in BucketKind], default=BucketKind.HOSTED
    )
    provider = models.CharField(max_length=20, blank=True, help_text="The preset it began with.")
    bucket_name = models.CharField(max_length=120)
    prefix = models.CharField(max_length=400, blank=True, help_text="Empty, or ends with a slash.")
    endpoint = models.CharField(max_length=300, blank=True, help_text="Empty where hosted.")
    public_endpoint = models.CharField(
        max_length=300, blank=True, help_text="As devices and browsers reach it, where it differs."
    )
    region = models.CharField(max_length=60, blank=True)
    addressing_style = models.CharField(
        max_length=10,
        choices=[(s.value, s.value) for s in AddressingStyle],
        default=AddressingStyle.PATH,
    )
    credential_kind = models.CharField(
        max_length=12,
        choices=[(k.value, k.value) for k in CredentialKind],
        default=CredentialKind.UPEND,
    )
    role_arn = models.CharField(max_length=300, blank=True)
    sts_endpoint = models.CharField(
        max_length=300, blank=True, help_text="Who lends the role, where it is not the endpoint."
    )
    encryption = models.CharField(
        max_length=12,
        blank=True,
        choices=[(e.value, e.value) for e in Encryption if e],
        default=Encryption.DEFAULT,
    )
    kms_key_id = models.CharField(max_length=300, blank=True)
    is_read_only = models.BooleanField(default=False)
    version = models.UUIDField(
        default=uuid.uuid4, help_text="New with every change of how it is reached."
    )
    last_check = models.JSONField(null=True, help_text="The outcome of each step.")
    last_checked_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    disconnected_at = models.DateTimeField(null=True)

    objects = BucketQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "name"],
                condition=models.Q(disconnected_at__isnull=True, kind=BucketKind.CUSTOMER),
                name="bucket_name_unique_in_workspace",
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def target(self) -> Target:
        """Return the bucket as the ledger names it."""
        organization_id = self.workspace.organization_id
        return Target("bucket", str(self.id), self.name, organization_id, self.workspace_id)

    @property
    def key_days_left(self) -> int | None:
        """Return the whole days until its key ends; None where none is known."""
        current = [key for key in self.keys.all() if key.retired_at is None]
        return current[0].days_left if current else None

    @property
    def is_usable(self) -> bool:
        """Tell whether catalogs may be made here: the last check found nothing that hinders.

        A role must have been checked: one that is lent without the external ID is refused.
        """
        if self.last_check is None:
            return self.credential_kind != CredentialKind.ASSUME_ROLE
        return bool(self.last_check["outcome"] != "failed")

    @property
    def external_id(self) -> str:
        """Return what Upend shows to a role: never the customer's choice, one per organization.

        So no organization can make Upend assume the role of another one (the confused deputy,
        https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html).
        """
        return external_id_of(self.workspace)


def external_id_of(workspace: Workspace) -> str:
    """Return the external ID of the workspace's organization, known before a bucket is."""
    return f"upend-{workspace.organization_id}"


class BucketKeyQuerySet(models.QuerySet["BucketKey"]):
    """Reads of keys."""

    def current(self) -> BucketKeyQuerySet:
        """Return the keys that sign now: at most one of each bucket."""
        return self.filter(retired_at__isnull=True)


class BucketKey(models.Model):
    """An access key of a bucket; what it keeps secret is sealed and never shown again.

    A rotated key is retired at once and kept until `holds_until`, when what it signed is void.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    bucket = models.ForeignKey(Bucket, on_delete=models.CASCADE, related_name="keys")
    access_key_id = models.CharField(max_length=128)
    sealed_secret = SealedField(
        organization="bucket__workspace__organization_id",
        help_text="Sealed JSON: the secret and a session's token.",
    )
    expires_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=timezone.now)
    retired_at = models.DateTimeField(null=True)
    holds_until = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)

    objects = BucketKeyQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["bucket"],
                condition=models.Q(retired_at__isnull=True),
                name="bucket_has_one_current_key",
            )
        ]

    def __str__(self) -> str:
        return self.access_key_id

    @property
    def days_left(self) -> int | None:
        """Return the whole days until its provider ends it; None where it does not."""
        return None if self.expires_at is None else (self.expires_at - timezone.now()).days

    @property
    def binding(self) -> Binding:
        """Return where the secret belongs, for `accounts.keys`."""
        organization_id = self.bucket.workspace.organization_id
        return Binding(organization_id, "catalog.BucketKey", self.id, "sealed_secret")
