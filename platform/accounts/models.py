"""The state of who acts: organizations, users, groups, service accounts, tokens, devices."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import ClassVar

from django.contrib.auth.models import AbstractUser
from django.contrib.auth.models import UserManager as DjangoUserManager
from django.db import models
from django.utils import timezone

from accounts.domain import Actor, DeviceIdentity, DeviceStatus, OrganizationRole
from accounts.sealing.fields import SealedField

OVERSEERS = frozenset({OrganizationRole.ADMIN, OrganizationRole.AUDITOR})
"""Who sees what belongs to others of their organization."""


SYSTEMS = {"Darwin": "macos", "Linux": "linux", "Windows": "windows"}
"""How a device's platform begins, and what policies call it."""


class Organization(models.Model):
    """The tenant: owns people, workspaces, signing keys and the audit ledger."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=120)
    slug = models.SlugField(max_length=60, unique=True)
    auto_approve_devices = models.BooleanField(
        default=False, help_text="Approve a member's device at enrolment, without an admin."
    )
    local_mode_enabled = models.BooleanField(
        default=True, help_text="The one switch that turns local compute off for everyone."
    )
    governed_tags_only = models.BooleanField(
        default=False, help_text="Only tags that are defined may be assigned."
    )
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.name


class User(AbstractUser):
    """A person. Belongs to one organization; signs in by e-mail address."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    email = models.EmailField(unique=True)
    organization = models.ForeignKey(
        Organization, on_delete=models.PROTECT, related_name="users", null=True, blank=True
    )
    organization_role = models.CharField(
        max_length=20,
        choices=[(r.value, r.value) for r in OrganizationRole],
        default=OrganizationRole.MEMBER,
    )

    attributes = models.JSONField(
        default=dict, blank=True, help_text="What policies may look at, such as region: eu."
    )

    objects: ClassVar[DjangoUserManager[User]] = DjangoUserManager()  # type: ignore[assignment]

    def __str__(self) -> str:
        return self.email

    @property
    def display_name(self) -> str:
        """Return the full name where there is one, else the address."""
        return self.get_full_name() or self.email


class ServiceAccount(models.Model):
    """A program that acts: an agent, a job. Runs on servers only."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(
        Organization, on_delete=models.PROTECT, related_name="service_accounts"
    )
    name = models.CharField(max_length=120)
    description = models.TextField(blank=True)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    attributes = models.JSONField(
        default=dict, blank=True, help_text="What policies may look at, such as region: eu."
    )
    created_at = models.DateTimeField(default=timezone.now)
    disabled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "name"], name="service_account_name_is_unique"
            )
        ]

    def __str__(self) -> str:
        return self.name


class Group(models.Model):
    """A named set of principals of one organization."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="groups")
    name = models.CharField(max_length=120)
    users = models.ManyToManyField(User, blank=True, related_name="upend_groups")
    service_accounts = models.ManyToManyField(
        ServiceAccount, blank=True, related_name="upend_groups"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organization", "name"], name="group_name_is_unique")
        ]

    def __str__(self) -> str:
        return self.name


class ApiTokenQuerySet(models.QuerySet["ApiToken"]):
    """Reads of API tokens."""

    def visible_to(self, actor: Actor) -> ApiTokenQuerySet:
        """Return a person's own tokens; administrators and auditors see the organization's."""
        if not actor.is_person or actor.organization_id is None:
            return self.none()
        if actor.organization_role not in OVERSEERS:
            return self.filter(user_id=actor.id)
        return self.filter(
            models.Q(user__organization_id=actor.organization_id)
            | models.Q(service_account__organization_id=actor.organization_id)
        )


class ApiToken(models.Model):
    """A bearer token: only its SHA-256 is kept, the secret is shown once.

    The text is `upend_<prefix>_<secret>`; `prefix` finds the row and is safe to show.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(
        User, on_delete=models.CASCADE, null=True, blank=True, related_name="api_tokens"
    )
    service_account = models.ForeignKey(
        ServiceAccount, on_delete=models.CASCADE, null=True, blank=True, related_name="api_tokens"
    )
    name = models.CharField(max_length=120)
    prefix = models.CharField(max_length=16, unique=True)
    digest = models.CharField(max_length=64)
    scopes = models.JSONField(default=list)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    objects = ApiTokenQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(user__isnull=True) ^ models.Q(service_account__isnull=True),
                name="api_token_has_one_principal",
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix})"

    def is_live(self, now: datetime) -> bool:
        """Tell whether the token may be used at `now`."""
        return self.revoked_at is None and self.expires_at > now

    @property
    def owner(self) -> User | ServiceAccount:
        """Return the principal that the token acts for."""
        owner = self.user or self.service_account
        assert owner is not None  # noqa: S101 - the constraint api_token_has_one_principal
        return owner


class DeviceQuerySet(models.QuerySet["Device"]):
    """Reads of devices."""

    def visible_to(self, actor: Actor) -> DeviceQuerySet:
        """Return a person's own devices; administrators and auditors see the organization's."""
        if not actor.is_person or actor.organization_id is None:
            return self.none()
        if actor.organization_role not in OVERSEERS:
            return self.filter(user_id=actor.id)
        return self.filter(user__organization_id=actor.organization_id)


class Device(models.Model):
    """An approved local client: an Ed25519 key pair whose private half never leaves it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="devices")
    name = models.CharField(max_length=120)
    platform = models.CharField(max_length=200, blank=True)
    client_version = models.CharField(max_length=40, blank=True)
    public_jwk = models.JSONField(help_text="RFC 8037 OKP key, public members only.")
    thumbprint = models.CharField(max_length=64, unique=True, help_text="RFC 7638, base64url.")
    memory_bytes = models.BigIntegerField(null=True, blank=True)
    cores = models.PositiveIntegerField(null=True, blank=True)
    link_bytes_per_second = models.BigIntegerField(
        null=True, blank=True, help_text="What its latest runs fetched in a second, smoothed."
    )
    cached_bytes = models.JSONField(
        default=dict, blank=True, help_text="Bytes its cache holds, by the key of the table."
    )
    is_managed = models.BooleanField(
        default=False, help_text="An administrator says that the organization manages it."
    )
    is_disk_encrypted = models.BooleanField(
        default=False, help_text="An administrator says that its disk is encrypted."
    )
    status = models.CharField(
        max_length=12,
        choices=[(s.value, s.value) for s in DeviceStatus],
        default=DeviceStatus.PENDING,
    )
    created_at = models.DateTimeField(default=timezone.now)
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    last_seen_at = models.DateTimeField(null=True, blank=True)

    objects = DeviceQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.name} ({self.thumbprint[:8]})"

    @property
    def identity(self) -> DeviceIdentity:
        """Return the device as a decision sees it."""
        return DeviceIdentity(
            id=self.id,
            name=self.name,
            thumbprint=self.thumbprint,
            status=DeviceStatus(self.status),
            memory_bytes=self.memory_bytes,
            cores=self.cores,
            link_bytes_per_second=self.link_bytes_per_second,
            cached_bytes=self.cached_bytes,
            os=self.os,
            is_managed=self.is_managed,
            is_disk_encrypted=self.is_disk_encrypted,
            last_seen_at=self.last_seen_at,
        )

    @property
    def os(self) -> str:
        """Return the operating system that its client named at login; empty for one unknown."""
        return SYSTEMS.get(self.platform.partition(" ")[0], "")


class SigningKey(models.Model):
    """An organization's Ed25519 key for manifests; the private half is sealed at rest."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(
        Organization, on_delete=models.PROTECT, related_name="signing_keys"
    )
    key_id = models.CharField(max_length=64, unique=True)
    public_jwk = models.JSONField()
    sealed_private_key = SealedField()
    created_at = models.DateTimeField(default=timezone.now)
    retired_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.key_id
